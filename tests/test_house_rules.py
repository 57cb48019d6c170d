"""The floor plan is a test: who may import whom, how large a module may be, which names are no names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ceso_mcp"
FILES = sorted(PACKAGE.rglob("*.py"))

# Floors from the ground up. A room imports from its own floor's listed friends and from below only.
FLOORS = [
    {"errors"},
    {"shell", "text"},
    {"captures"},
    {"fact", "plan", "operation", "ports", "fields"},
    {"esxi", "guest", "backup"},
    {"addresses"},
    {"facts"},
    {"recipes"},
    {"operations"},
    {"catalogue", "redact", "clock", "home", "host_keys", "audit_file", "secrets", "config"}
    | {"state_database"},
    {
        "ssh",
        "audit",
        "confirm",
        "jobs",
        "journal",
        "gather",
        "repository",
        "writer_lock",
        "delivery",
        "progress",
        "known_repositories",
        "ipam",
        "dynamic_dns",
    },
    {"repository_access", "disk_streams"},
    {
        "run_desk",
        "copy_desk",
        "keeping_desk",
        "extract_desk",
        "guest_desk",
        "reach_desk",
        "pool_desk",
        "undoing",
    },
    {"execute", "preview", "desk"},
    {"app"},
    {"worker"},
    {"surfaces", "__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Rooms of one floor that may look into each other, with the reason.
NEIGHBOURS = {
    ("plan", "fact"): "a step's judge reads a reply",
    ("operation", "fact"): "an operation plans from facts",
    ("operation", "plan"): "an operation makes a plan",
    ("ports", "fact"): "ports carry replies and questions",
    ("ports", "plan"): "ports carry streams and actions",
    ("text", "shell"): "both are words",
    ("config", "home"): "both know where files are",
    ("secrets", "home"): "a secret may be in a file of the home directory",
    ("config", "secrets"): "a configuration names secrets",
    ("__main__", "surfaces"): "the entry point opens a surface",
}
PURE = {"errors", "shell", "text", "fact", "plan", "operation", "ports", "fields", "esxi", "guest", "backup"}
PURE |= {"captures", "addresses", "facts", "recipes", "operations"}
NOT_PURE = {
    "os", "socket", "subprocess", "time", "random", "secrets", "asyncio", "anyio", "asyncssh", "threading",
    "tempfile", "shutil", "sqlite3", "urllib", "http",
}  # fmt: skip
DOORS = {
    "asyncssh": {"ssh", "lab", "repository"},
    "mcp": {"surfaces"},
    "mcp_types": {"surfaces"},
    "click": {"surfaces", "__main__"},
    "rich": {"surfaces"},
    "starlette": {"surfaces"},
    "uvicorn": {"surfaces"},
    "yaml": {"guest"},
    "zstandard": {"repository"},
    "pyrage": {"repository"},
    "cryptography": {"repository"},
    "keyring": {"secrets"},
    "obstore": {"repository"},
    "dns": {"dynamic_dns"},
    "structlog": {"app", "surfaces", "__main__"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:  # these also run by themselves, inside the make-believe host
                assert path.parent.name in ("disks", "inside"), f"{path}: relative import"
                continue
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def own_room(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "ceso_mcp" and len(parts) > 1 else None


def where(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=where)
def test_imports_go_down(path: Path) -> None:
    here = room(path)
    for name in imports(path):
        there = own_room(name)
        if there is None or there == here or there == "__version__":
            continue
        if here == "lab":
            assert there == "errors", f"the lab imports {name}"
            continue
        if there == "lab":
            assert here in ("surfaces", "__main__"), f"{here} imports the lab"
            continue
        if (here, there) in NEIGHBOURS:
            continue
        assert FLOOR_OF[there] < FLOOR_OF[here], f"{here} imports {name}, which is not below it"


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in PURE], ids=where)
def test_knowledge_touches_no_wire_disk_clock_or_chance(path: Path) -> None:
    # urllib.parse only reads text.
    used = {name.split(".")[0] for name in imports(path) if not name.startswith("urllib.parse.")}
    assert not used & NOT_PURE


@pytest.mark.parametrize("path", FILES, ids=where)
def test_facts_and_operations_do_not_import_their_like(path: Path) -> None:
    here = room(path)
    if here not in ("facts", "operations"):
        return
    assert not [name for name in imports(path) if own_room(name) == here]


@pytest.mark.parametrize("path", FILES, ids=where)
def test_each_outside_library_has_its_door(path: Path) -> None:
    for name in imports(path):
        library = name.split(".")[0]
        if library in DOORS:
            assert room(path) in DOORS[library], f"{where(path)} imports {library}"


def test_within_the_repository_only_targets_reach_for_a_network() -> None:
    inside = PACKAGE / "repository"
    users = {p for p in FILES if {"asyncssh", "obstore"} & {name.split(".")[0] for name in imports(p)}}
    found = {where(p) for p in users if p.is_relative_to(inside)}
    targets = {
        "s3.py",
        "s3_client.py",
        "s3_faults.py",
        "sftp.py",
        "sftp_faults.py",
        "sftp_link.py",
        "sftp_steps.py",
    }
    assert found == {f"repository/targets/{name}" for name in targets}


@pytest.mark.parametrize("path", FILES, ids=where)
def test_modules_are_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 330


def test_only_the_lab_and_operations_read_only_modules_have_plain_names() -> None:
    bad = [p for p in FILES if re.search(r"util|helper|manager|(^|_)base(_|$)|common|misc", p.stem)]
    assert not bad


def test_no_module_of_the_package_prints() -> None:
    for path in FILES:
        if room(path) in ("surfaces", "__main__", "lab"):
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], path


def test_every_module_says_what_it_is() -> None:
    silent = [where(p) for p in FILES if not ast.get_docstring(ast.parse(p.read_text("utf-8")))]
    assert silent == []
