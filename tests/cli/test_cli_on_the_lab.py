"""The examples of the help texts, typed one after the other on a real lab with real workers."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ceso_mcp.lab import Lab
from ceso_mcp.surfaces.cli import demo, table
from ceso_mcp.surfaces.cli.root import ceso

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="the lab needs the package bubblewrap")

# Operations whose example meets a lab where there is nothing for them to do.
NOTHING_TO_DO = {
    "recover": "[nothing_to_recover]",
    "set_recipients": "[nothing_to_do]",
    "scrub_guestinfo": "[nothing_to_scrub]",
    "release_address": "[not_held]",
}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("CESO_LAB_DIR", str(tmp_path / "lab"))
    monkeypatch.setenv("CESO_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ecdsa.pub").write_text(demo._nobodys_key())
    found = Lab(tmp_path / "lab")
    yield found
    found.stop()


def type_in(text: str) -> Result:
    return CliRunner().invoke(ceso, shlex.split(text)[1:], prog_name="ceso")


def document(text: str) -> dict[str, Any]:
    return dict(json.loads(type_in(f"{text} --json").stdout))


def is_change(row: table.Row) -> bool:
    from ceso_mcp import catalogue
    from ceso_mcp.operation import Change

    return issubclass(catalogue.operation(row.operation), Change)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_every_example_of_the_help_runs_on_the_lab(lab: Lab) -> None:
    for row in table.TABLE:
        for example in row.examples:
            text = f"{example} --yes" if is_change(row) else example
            if "BACKUP" in text:
                text = text.replace("BACKUP", document("ceso --lab backup list")["backups"][0]["backup_id"])
            if "JOB" in text:
                text = text.replace("JOB", document("ceso --lab jobs list")["jobs"][0]["id"])
            result = type_in(text)
            nothing = NOTHING_TO_DO.get(row.operation, "no such code") in result.stderr
            assert result.exit_code == 0 or nothing, f"{text}: {result.stderr}"
            assert "Traceback" not in result.output
    names = {vm["name"] for vm in document("ceso --lab vm list")["vms"]}
    assert {"web02", "web03"} <= names
    assert "web01" not in names
    assert document("ceso --lab audit verify")["whole"] is True
