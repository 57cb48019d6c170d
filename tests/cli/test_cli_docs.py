"""The pages about the command line and the configuration say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ceso_mcp import errors
from ceso_mcp.config import Config, load_config
from ceso_mcp.errors import CesoError, ConfigFault
from ceso_mcp.surfaces.cli import table

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def test_the_page_has_a_row_for_every_exit_status() -> None:
    documented = {int(number) for number in re.findall(r"^\| (\d+) \| ", page("cli.md"), re.M)}
    classes = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, CesoError)]
    assert documented == {0, 130} | {error.exit_status for error in classes}


def test_the_page_has_a_row_for_every_command_of_the_table() -> None:
    rows = dict(re.findall(r"^\| `ceso ([^`]+)` \| `(\w+)` \|$", page("cli.md"), re.M))
    expected = {
        " ".join(filter(None, (row.noun, row.verb, *(name.upper() for name in row.arguments)))): row.operation
        for row in table.TABLE
    }
    assert rows == expected


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = re.search(r"^```toml\n(.*?)^```", page("configuration.md"), re.M | re.S)
    assert found is not None
    path = tmp_path / "ceso.toml"
    path.write_text(found.group(1), "utf-8")
    monkeypatch.setenv("CESO_CONFIG", str(path))
    return path


def test_the_example_configuration_loads_and_uses_every_key(example: Path) -> None:
    config = load_config()
    assert config.host.address == "esxi01.lab.example"
    assert config.backup.repository == Path("/srv/backups/esxi01")
    for name in set(Config.model_fields) - {"lab"}:
        assert name in config.model_fields_set, f"the example lacks {name}"
        section = getattr(config, name)
        if hasattr(section, "model_fields_set"):
            assert section.model_fields_set == set(type(section).model_fields), f"[{name}] is not complete"


def test_a_typing_error_in_the_example_is_named_with_its_line(example: Path) -> None:
    text = example.read_text("utf-8")
    example.write_text(text.replace("token_minutes = 10", "token_minuets = 10"), "utf-8")
    line = text.split("\n").index("token_minutes = 10") + 1
    with pytest.raises(ConfigFault, match=rf":{line}: consent\.token_minuets"):
        load_config()


def test_every_key_of_the_configuration_is_described() -> None:
    text = page("configuration.md")
    for section in ("host", "backup", "consent", "operations"):
        for name in Config.model_fields[section].annotation.model_fields:  # type: ignore[union-attr]
            assert f"`{name}`" in text or name == "policy", f"{section}.{name} is not described"
