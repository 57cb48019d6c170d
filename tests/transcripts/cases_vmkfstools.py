"""What the captures of vmkfstools say: (last percentage, number of the failure, its kind)."""

from __future__ import annotations

from typing import Any

from captures import Case

from ceso_mcp.esxi.vmkfstools import failure, parse_progress


def outcome(text: str) -> Any:
    found = failure(text)
    return (parse_progress(text), found.number, found.kind) if found else (parse_progress(text), None, None)


FINE = (100, None, None)
SILENT = (None, None, None)

CASES = [
    Case(f"vmkfstools-{name}.txt", outcome, expected)
    for name, expected in {
        "E-rename-1": SILENT,
        "K-punchzero-1": FINE,
        "U-delete-1": SILENT,
        "X-exit255-1": (None, None, "other"),
        "X-grow-1": FINE,
        "c-bad-format-1": (None, None, "usage"),
        "c-eagerzeroed-1": FINE,
        "c-unmap-1": FINE,
        "diskTool-locked-1": (None, 16392, "locked"),
        "e-consistent-1": SILENT,
        "i-clone-snapshot-chain-1": FINE,
        "i-clone-with-ls-thick-thin-1": FINE,
        "i-eio-at-93-1": (93, 327682, "io"),
        # The second command of this capture works: a failure is not undone by what follows it.
        "i-fail-check-15-2": (100, 15, "not_a_disk"),
        "i-fail-check-25-3": (None, 25, "missing"),
        "i-fail-enospc-1835017-1": (None, 1835017, "no_space"),
        "i-fail-enxio-393225-1": (100, 393225, "no_device"),
        "i-fail-notvmdk-15-1": (9, 15, "not_a_disk"),
        "i-ghettovcb-cold-log-1": (95, None, None),
        "i-hotclone-base-1": FINE,
        "i-hotclone-delta-esxi67-1": FINE,
        "i-killed-midway-1": (18, None, None),
        "i-locked-16392-1": (None, 16392, "locked"),
        "i-to-rdm-1": FINE,
        "i-verbose-vast-2": (19, None, None),
        "i-verbose5-nfs-1": SILENT,
        "q-chain-capacity-mismatch-1": (None, 67, "capacity_differs"),
        "q-chain-capacity-mismatch-2": (None, 67, "capacity_differs"),
        "q-chain-cid-mismatch-1": (None, 18, "parent_changed"),
        "q-chain-missing-parent-1": (None, 23, "parent_missing"),
        "q-chain-nonlinear-1": SILENT,
        "q-chain-ok-1": SILENT,
        "q-not-rdm-1": SILENT,
        "q-rdm-chain-1": SILENT,
        "q-rdmp-1": SILENT,
        "x-check-ok-1": SILENT,
    }.items()
]
