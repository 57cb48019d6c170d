"""Every capture kept here is read as it should be, and each is read by at least one parser."""

from __future__ import annotations

import cases_dumps
import cases_esxcli
import cases_inventory
import cases_samples
import cases_vmkfstools
import pytest
from captures import HERE, Case, Edited, capture

from ceso_mcp.errors import Unreadable

CASES: list[Case] = [
    *cases_inventory.CASES,
    *cases_dumps.CASES,
    *cases_esxcli.CASES,
    *cases_vmkfstools.CASES,
    *cases_samples.CASES,
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_capture_is_read_as_stated(case: Case) -> None:
    text = capture(case.name)
    if isinstance(case.expected, Edited):
        with pytest.raises(Unreadable):
            case.read(text)
    else:
        assert case.read(text) == case.expected


def test_each_capture_and_sample_is_read_by_a_parser() -> None:
    here = {path.relative_to(HERE).as_posix() for path in HERE.rglob("*.txt")}
    here |= {path.relative_to(HERE).as_posix() for path in (HERE / "samples").glob("*.vm*")}
    assert here == {case.name for case in CASES}


def test_each_capture_has_its_line_in_an_index() -> None:
    listed = {
        line.split("\t", 1)[0]
        for index in HERE.rglob("INDEX-*.tsv")
        for line in index.read_text(encoding="utf-8").splitlines()
    }
    assert {case.name.removeprefix("samples/") for case in CASES} <= listed


def test_most_captures_of_each_parser_are_read_and_not_refused() -> None:
    for cases in (cases_inventory, cases_dumps, cases_esxcli, cases_vmkfstools, cases_samples):
        refused = [case for case in cases.CASES if isinstance(case.expected, Edited)]
        assert len(refused) * 3 < len(cases.CASES)
