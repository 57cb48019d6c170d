"""Damage to any object of a repository is named with exactly the backups it costs; the others restore."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from repository_cases import Kit, backup_id, image_of, new_identity, sparse_image

from ceso_mcp.backup.retention_policy import Policy
from ceso_mcp.errors import CesoError
from ceso_mcp.repository import keeping
from ceso_mcp.repository.check import check, named_objects

SIZE = 1 << 18
FIRST = sparse_image(SIZE, 1, 0.9)
LATER = bytearray(FIRST)
LATER[70_000:70_010] = b"0123456789"
IMAGES = {0: FIRST, 1: bytes(LATER), 2: sparse_image(SIZE, 2, 0.4)}
IDS = {run: str(backup_id(run)) for run in IMAGES}
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def three_backups(path: Path, sealed: bool) -> Kit:
    private, public = new_identity()
    kit = Kit(path, (public,) if sealed else (), (private,) if sealed else ())
    for run, image in IMAGES.items():
        kit.back_up(image, run=run)
    return kit


def damaged_copies(whole: Kit, folder: Path, every: bool) -> Iterator[tuple[str, str, Kit]]:
    """(object, damage, repository) for every object of the backups, and every kind of damage or one."""
    chance = random.Random(7)
    for name, content in whole.objects().items():
        if not name.startswith(("packs/", "backups/")):
            continue
        at = chance.randrange(len(content))
        flipped = bytearray(content)
        flipped[at] ^= 1 << chance.randrange(8)
        kinds = {
            "flipped": bytes(flipped),
            "truncated": content[: chance.randrange(len(content))],
            "lengthened": content + b"\0",
            "gone": None,
        }
        for damage, left in kinds.items() if every else chance.sample(list(kinds.items()), 1):
            kit = Kit(folder / f"{len(list(folder.iterdir()))}", whole.recipients, whole.identities)
            shutil.copytree(whole.path, kit.path)
            if left is None:
                (kit.path / name).unlink()
            else:
                (kit.path / name).write_bytes(left)
            yield name, damage, kit
            shutil.rmtree(kit.path)
            kit.path.mkdir()  # keeps the numbers apart


def costs(whole: Kit, name: str) -> set[str]:
    """The backups that need the object, from the undamaged manifests."""
    repository = whole.open()
    return {
        m.id
        for m in repository.list().manifests
        if name in dict(named_objects(m, repository.store.suffix))
        or name == m.backup_id.object("manifest.json")
    }


def found_damaged(kit: Kit) -> set[str]:
    """What verifying everything that is listed finds damaged."""
    repository = kit.open()
    listing = repository.list()
    reports = [(m.id, repository.verify(m.id)) for m in listing.manifests]
    for _, report in reports:
        keeping.note_verification(repository, report)
    return {entry.id for entry in listing.damaged} | {name for name, report in reports if not report.ok}


@pytest.mark.parametrize(
    ("sealed", "every"),
    [
        (False, False),
        pytest.param(False, True, marks=pytest.mark.slow),
        pytest.param(True, True, marks=pytest.mark.slow),
    ],
)
def test_any_damage_names_its_backups_and_the_others_restore_and_are_kept(
    sealed: bool, every: bool, tmp_path: Path
) -> None:
    whole, copies, cases = three_backups(tmp_path / "whole", sealed), tmp_path / "copies", 0
    copies.mkdir()
    for name, damage, kit in damaged_copies(whole, copies, every):
        expected = costs(whole, name)
        vanished = damage == "gone" and name.endswith("manifest.json")
        assert found_damaged(kit) == (set() if vanished else expected), (name, damage)
        if damage != "flipped" and not vanished:
            structure = {backup for backup, _ in check(kit.open()).problems}
            assert structure == expected, (name, damage)
        for run, image in IMAGES.items():
            if IDS[run] not in expected:
                assert image_of(kit.open().reader(IDS[run]).disk_stream(0), SIZE) == image
            elif not vanished:
                never_a_wrong_byte(kit, run, image)
        standing = keeping.standing(kit.open())
        for group in standing.groups():
            gone = group.verdict(Policy(keep_last=1), NOW).removed
            intact = [b.id for b in group.backups if b.id not in expected]
            assert not intact or set(intact) - set(gone), (name, damage)
        cases += 1
    assert cases >= 12 * (4 if every else 1)


def never_a_wrong_byte(kit: Kit, run: int, image: bytes) -> None:
    """What comes out of a damaged backup before it breaks off is right."""
    try:
        stream = b"".join(kit.open().reader(IDS[run]).disk_stream(0))
    except CesoError:
        return
    assert image_of(iter([stream]), SIZE) == image  # the damage is in what the disk does not need
