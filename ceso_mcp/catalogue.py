"""The catalogue: every operation there is, read from the folder `operations`.

Nothing is registered by hand. A file `operations/<toolset>/<name>.py` holds one operation class
whose snake-case name is the file's name.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ceso_mcp.errors import InvalidArguments
from ceso_mcp.operation import Operation, Query

FOLDER = Path(__file__).parent / "operations"


def names() -> list[str]:
    """Names of all operations, sorted, without importing one."""
    return sorted(path.stem for path in _files())


@cache
def operation(name: str) -> type[Operation]:
    """The operation called `name`; raises InvalidArguments `unknown_operation`."""
    for path in _files():
        if path.stem == name:
            module = importlib.import_module(f"ceso_mcp.operations.{path.parent.name}.{path.stem}")
            for value in vars(module).values():
                if (
                    isinstance(value, type)
                    and issubclass(value, Operation)
                    and value.__module__ == module.__name__
                    and value.operation_name() == name
                ):
                    return value
            raise ImportError(f"{path} holds no operation called {name}")
    raise InvalidArguments(
        f"there is no operation called {name!r}", code="unknown_operation", hint="`ceso --help` lists them"
    )


def operations(*, read_only: bool = False, allow: tuple[str, ...] = ()) -> list[type[Operation]]:
    """All operations that the configuration admits, by name."""
    found = [operation(name) for name in names() if not allow or name in allow]
    return [op for op in found if issubclass(op, Query) or not read_only]


def _files() -> Iterator[Path]:
    for path in FOLDER.glob("*/*.py"):
        if path.stem != "__init__":
            yield path
