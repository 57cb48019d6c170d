"""Which operation a noun and a verb stand for. The only list of its kind; a test holds it complete.

Everything else about a command (options, help, output) comes from the operation itself. Nothing
here imports an operation, so that help is quick.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from pathlib import Path

OPERATIONS = Path(__file__).parents[2] / "operations"

NOUNS: dict[str, str] = {
    "pool": "Make, show and change pools of addresses that VMs take theirs from.",
    "template": "Check, prepare and list golden templates.",
    "datastore": "List datastores, mount and unmount those of NFS servers.",
    "vm": "List, show, create, clone, readdress, power and delete virtual machines.",
    "backup": "Back VMs up, list and check backups, restore from them.",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One command. `arguments` names the fields given by position; `examples` run on the lab.

    In an example, `BACKUP` and `JOB` stand for an id that a listing shows.
    """

    noun: str | None
    verb: str
    operation: str
    arguments: tuple[str, ...]
    examples: tuple[str, ...]


TABLE: tuple[Row, ...] = (
    Row(None, "discover", "discover", (), ("ceso --lab discover",)),
    Row("datastore", "list", "list_datastores", (), ("ceso --lab datastore list",)),
    Row(
        "datastore",
        "mount",
        "mount_datastore",
        ("name",),
        ("ceso --lab datastore mount nas --server nas.lab.example --share /srv/vms",),
    ),
    Row("datastore", "unmount", "unmount_datastore", ("name",), ("ceso --lab datastore unmount nas",)),
    Row("vm", "list", "list_vms", (), ("ceso --lab vm list", "ceso --lab vm list --power on")),
    Row("vm", "show", "show_vm", ("vm",), ("ceso --lab vm show ubuntu-24.04-golden",)),
    Row(
        "vm",
        "create",
        "create_vm",
        ("name",),
        (
            "ceso --lab vm create web01 --template ubuntu-24.04-golden --user ops"
            " --ssh-key @~/.ssh/id_ecdsa.pub",
        ),
    ),
    Row(
        "vm",
        "clone",
        "clone_vm",
        ("source", "name"),
        ("ceso --lab vm clone ubuntu-24.04-golden web02 --power-on",),
    ),
    Row("vm", "power", "power_vm", ("vm", "action"), ("ceso --lab vm power web01 shutdown",)),
    Row(
        "vm",
        "readdress",
        "readdress_vm",
        ("vm",),
        ("ceso --lab vm readdress web02 --ipv4 192.0.2.44/24 --restart",),
    ),
    Row(
        "vm",
        "scrub",
        "scrub_guestinfo",
        ("vm",),
        ("ceso --lab vm scrub ubuntu-24.04-golden",),
    ),
    Row("vm", "delete", "delete_vm", ("vm",), ("ceso --lab vm delete web01",)),
    Row("template", "list", "list_templates", (), ("ceso --lab template list",)),
    Row("template", "check", "check_template", ("vm",), ("ceso --lab template check ubuntu-24.04-golden",)),
    Row(
        "template", "unmark", "unmark_template", ("vm",), ("ceso --lab template unmark ubuntu-24.04-golden",)
    ),
    Row(
        "template",
        "prepare",
        "prepare_template",
        ("vm",),
        ("ceso --lab template prepare ubuntu-24.04-golden",),
    ),
    Row(
        "pool",
        "create",
        "create_pool",
        ("name",),
        (
            "ceso --lab pool create lab --ranges 192.0.2.150-192.0.2.199/24 --gateway4 192.0.2.1"
            " --dns 192.0.2.53 --portgroup 'VM Network'",
        ),
    ),
    Row("pool", "list", "list_pools", (), ("ceso --lab pool list",)),
    Row("pool", "set", "set_pool", ("name",), ("ceso --lab pool set lab --exclude 192.0.2.160",)),
    Row(
        "pool",
        "release",
        "release_address",
        ("address",),
        ("ceso --lab pool release 192.0.2.150 --dry-run",),
    ),
    Row("pool", "delete", "delete_pool", ("name",), ("ceso --lab pool delete lab",)),
    Row("backup", "create", "backup_vm", ("vm",), ("ceso --lab backup create ubuntu-24.04-golden",)),
    Row("backup", "list", "list_backups", (), ("ceso --lab backup list",)),
    Row("backup", "verify", "verify_backup", ("backup_id",), ("ceso --lab backup verify BACKUP",)),
    Row(
        "backup",
        "restore",
        "restore_vm",
        ("backup_id", "name"),
        ("ceso --lab backup restore BACKUP web03 --datastore datastore1",),
    ),
    Row(
        "backup",
        "restore-in-place",
        "restore_in_place",
        ("backup_id", "vm"),
        ("ceso --lab backup restore-in-place BACKUP ubuntu-24.04-golden",),
    ),
    Row(
        "backup",
        "settle",
        "settle_restore",
        ("vm",),
        ("ceso --lab backup settle ubuntu-24.04-golden --keep before",),
    ),
    Row(
        "backup",
        "restore-disk",
        "restore_disk",
        ("backup_id", "vm"),
        ("ceso --lab backup restore-disk BACKUP ubuntu-24.04-golden --disk 0",),
    ),
    Row("backup", "drill", "drill_backup", ("backup_id",), ("ceso --lab backup drill BACKUP",)),
    Row(
        "backup",
        "extract",
        "extract_disk",
        ("backup_id",),
        ("ceso --lab backup extract BACKUP --disk 0",),
    ),
    Row("backup", "copy", "copy_backup", ("name",), ("ceso --lab backup copy second",)),
    Row("backup", "prune", "prune_repository", (), ("ceso --lab backup prune",)),
    Row(
        "backup",
        "retention",
        "set_retention",
        (),
        ("ceso --lab backup retention --keep-daily 7 --keep-weekly 4 --keep-monthly 12",),
    ),
    Row("backup", "recipients", "set_recipients", (), ("ceso --lab backup recipients --dry-run",)),
    Row("backup", "forget", "forget_backups", (), ("ceso --lab backup forget --dry-run",)),
    Row(
        "backup",
        "protect",
        "protect_backup",
        ("backup_id",),
        ("ceso --lab backup protect BACKUP --why 'before the upgrade'",),
    ),
    Row("backup", "unprotect", "unprotect_backup", ("backup_id",), ("ceso --lab backup unprotect BACKUP",)),
    Row("backup", "status", "backup_status", (), ("ceso --lab backup status --max-age 26h --no-ask-host",)),
    Row("backup", "check", "check_repository", (), ("ceso --lab backup check",)),
    Row("backup", "repair", "repair_repository", (), ()),
    Row("backup", "stats", "repository_stats", (), ("ceso --lab backup stats",)),
    Row(
        "backup",
        "delete",
        "delete_backup",
        ("backup_id",),
        ("ceso --lab backup delete BACKUP --even-the-last",),
    ),
    Row(None, "recover", "recover", (), ("ceso --lab recover", "ceso --lab recover --abandoned")),
    Row("jobs", "show", "job_status", ("job_id",), ("ceso --lab jobs show JOB --wait-seconds 50",)),
)


def rows(noun: str | None) -> list[Row]:
    """The commands under `noun` whose operation there is."""
    return [row for row in TABLE if row.noun == noun and _file(row.operation) is not None]


def summary(operation: str) -> str:
    """The first line of an operation's description, read without importing it."""
    path = _file(operation)
    if path is None:
        return ""
    name = "".join(word.capitalize() for word in operation.split("_"))
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return inspect.cleandoc(ast.get_docstring(node) or "").split("\n", 1)[0]
    return ""


def _file(operation: str) -> Path | None:
    return next(OPERATIONS.glob(f"*/{operation}.py"), None)
