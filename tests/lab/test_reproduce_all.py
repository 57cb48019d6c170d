"""The tables of all parts together: every capture of a real host is reproduced or listed exactly once."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
INDEXES = (HERE / "transcripts", HERE.parent / "transcripts")
Split = tuple[set[str], set[str]]


def vim(module: ModuleType) -> Split:
    return set(module.MADE), set(module.DIFFERS)


def files(module: ModuleType) -> Split:
    # Messages of vim-cmd stand in both indexes; they are counted with vim-cmd.
    made, rest = set(module.MADE), set(module.TABLE) - set(module.MADE)
    return made, {name for name in rest if not name.startswith("vimmsg-")}


def shell(module: ModuleType) -> Split:
    return {*module.CALCULATED, *module.RUN, *module.ALONE, *module.PROGRAMS}, set(module.DIFFERS)


# A part, the index that lists its captures, and how its table is read.
PARTS: dict[str, tuple[str, Callable[[ModuleType], Split]]] = {
    "vim": ("INDEX-vimcmd.tsv", vim),
    "files": ("INDEX-files.tsv", files),
    "shell": ("INDEX-shell.tsv", shell),
    "esxcli": ("INDEX-esxcli.tsv", vim),
}


def present() -> list[str]:
    return [part for part in PARTS if (HERE / f"test_reproduce_{part}.py").exists()]


def table(part: str) -> Split:
    place = HERE / f"test_reproduce_{part}.py"
    spec = importlib.util.spec_from_file_location(f"counted_{part}", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return PARTS[part][1](module)


def listed(part: str) -> set[str]:
    """The names of the part's copied index; the copies in both folders count together."""
    names: set[str] = set()
    for folder in INDEXES:
        place = folder / PARTS[part][0]
        rows: Iterable[str] = place.read_text().splitlines() if place.exists() else ()
        names |= {row.split("\t")[0].removesuffix(".txt") for row in rows if ".txt\t" in row}
    # One index of the esxcli captures holds the shell's too.
    return {name for name in names if not name.startswith("shell-")} if part == "esxcli" else names


def test_every_capture_of_every_part_is_in_exactly_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    parts = present()
    assert {"vim", "files", "shell"} <= set(parts)
    where: Counter[str] = Counter()
    expected: set[str] = set()
    totals = []
    for part in parts:
        made, differs = table(part)
        where.update(made)
        where.update(differs)
        expected |= listed(part)
        totals.append((part, len(made), len(differs)))
    with capsys.disabled():
        for part, made_count, differs_count in totals:
            print(f"\n{part}: {made_count} reproduced, {differs_count} listed", end="")
        print(f"\nall: {sum(row[1] for row in totals)} reproduced, {sum(row[2] for row in totals)} listed")
    assert set(where) - expected == set()
    assert expected - set(where) == set()
    assert [name for name, count in where.items() if count != 1] == []
