"""Writes `tool-schemas/<tool>.json`, the entries of `tools/list`; `--check` only compares.

Run as `python -m ceso_mcp.surfaces.mcp.schemas [--check]` in the repository.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ceso_mcp
from ceso_mcp import catalogue
from ceso_mcp.surfaces.mcp.tool import OperationTool, tools


def schema_folder() -> Path:
    return Path(ceso_mcp.__file__).parent.parent / "tool-schemas"


def written(tool: OperationTool) -> str:
    """The text of a tool's file."""
    entry = tool.listing.model_dump(by_alias=True, mode="json", exclude_none=True)
    return json.dumps(entry, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def stale(folder: Path) -> dict[Path, str | None]:
    """Files that differ from the tools, with the text they should have; None for one too many."""
    wanted = {folder / f"{name}.json": written(tool) for name, tool in tools(catalogue.operations()).items()}
    there = {path: path.read_text("utf-8") for path in folder.glob("*.json")}
    wrong: dict[Path, str | None] = {path: text for path, text in wanted.items() if there.get(path) != text}
    return wrong | {path: None for path in there if path not in wanted}


def main(arguments: list[str]) -> int:
    """Bring the files up to date; with `--check` change nothing and return 1 if any is stale."""
    folder = schema_folder()
    wrong = stale(folder)
    for path, text in wrong.items():
        sys.stderr.write(f"{'stale' if '--check' in arguments else 'writing'}: {path.name}\n")
        if "--check" in arguments:
            continue
        if text is None:
            path.unlink()
        else:
            folder.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    return 1 if wrong and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
