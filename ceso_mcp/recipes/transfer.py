"""Steps that move the contents of disks between the host and a backup repository.

A small program goes to the host's python3 on standard input and leaves no file there. Its text is
part of the plan, and so of what the confirm token is bound to. A host without python3 does it with `dd`.
"""

from __future__ import annotations

from ceso_mcp.backup.actions import (
    ComparedHere,
    DigestsFrom,
    DiskFrom,
    DiskInto,
    FileFrom,
    FileInto,
    KnownDigests,
)
from ceso_mcp.backup.agents import LOADER, Mode, agent_stdin
from ceso_mcp.backup.answers import compared_up_to, parse_compare_result, parse_write_result
from ceso_mcp.backup.dd import read_line, write_line
from ceso_mcp.backup.sums import block_bytes_for
from ceso_mcp.errors import StepFailed
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Reply
from ceso_mcp.plan import Captures, Judge, Step, Undo
from ceso_mcp.shell import Command, sh
from ceso_mcp.text import Text

STREAM_TIMEOUT_S = 24 * 3600.0


def read_disk(flat: DatastorePath, into: DiskInto, expected_bytes: int) -> Step:
    """Stream a flat extent into the open backup: every block that is not zero, or, if the disk has a
    parent, those that differ from it, which nobody can say beforehand how many they are. By `dd` all
    of it comes."""
    if into.way == "dd":
        return Step(
            f"read disk {into.index} ({into.node}), all of it",
            read_line(flat),
            into=into,
            reads_only=True,
            timeout_s=STREAM_TIMEOUT_S,
        )
    block_bytes = block_bytes_for(into.capacity_bytes)
    compared = ["changed"] if into.parent else []
    return Step(
        f"read disk {into.index} ({into.node})" + (", what changed" if compared else ""),
        _agent("read", flat, into.capacity_bytes, block_bytes, *compared),
        stdin=Text.of(agent_stdin("read").decode()),
        feed=KnownDigests(into.index, into.parent) if into.parent else None,
        into=into,
        reads_only=True,
        timeout_s=STREAM_TIMEOUT_S,
        bytes_expected=None if compared else expected_bytes or None,
    )


def read_file(path: DatastorePath, name: str, why: str) -> Step:
    """Take a small file of the VM into the open backup."""
    return Step(why, sh("cat", path), into=FileInto(name), reads_only=True)


def write_disk(flat: DatastorePath, source: DiskFrom, data_bytes: int) -> Step:
    """Write the blocks of a backed-up disk, `data_bytes` of them, into an existing extent of its size."""

    def judge(reply: Reply, captures: Captures) -> None:
        reply.require("writing the disk")
        result = parse_write_result(reply.stdout)
        if result.capacity_bytes != source.capacity_bytes:
            raise StepFailed("the disk on the host has another size", code="size_differs")

    by_dd = source.way == "dd"
    return Step(
        f"write disk {source.index}",
        write_line(flat, source.capacity_bytes) if by_dd else _agent("write", flat, source.capacity_bytes),
        stdin=None if by_dd else Text.of(agent_stdin("write").decode()),
        feed=source,
        judge=judge,
        repeatable=True,
        timeout_s=STREAM_TIMEOUT_S,
        bytes_expected=data_bytes or None,
    )


def compare_disk(flat: DatastorePath, digests: DigestsFrom, capacity_bytes: int) -> Step:
    """Read the disk back on the host and compare every block's digest there with the backup's."""

    def percent(said: str) -> float | None:
        offset = compared_up_to(said)
        return None if offset is None else 100.0 * offset / capacity_bytes

    return Step(
        f"read disk {digests.index} back and compare it with the backup",
        _agent("compare", flat, capacity_bytes, block_bytes_for(capacity_bytes)),
        stdin=Text.of(agent_stdin("compare").decode()),
        feed=digests,
        judge=_nothing_differs,
        percent=percent,
        reads_only=True,
        timeout_s=STREAM_TIMEOUT_S,
    )


def compare_disk_here(flat: DatastorePath, backup: ComparedHere) -> Step:
    """Read the whole disk back by `dd` and compare every block's digest here with the backup's."""
    return Step(
        f"read disk {backup.index} back, all of it, and compare it with the backup",
        read_line(flat),
        into=backup,
        reads_only=True,
        timeout_s=STREAM_TIMEOUT_S,
    )


def _nothing_differs(reply: Reply, captures: Captures) -> None:
    if not reply.stdout.strip():
        reply.require("comparing the disk")
    parse_compare_result(reply.stdout).require_same()
    reply.require("comparing the disk")


def write_file(source: FileFrom, target: DatastorePath, why: str) -> Step:
    """Write a small file of a backup to the host."""
    return Step(why, sh("cat").to(target), feed=source, undo=Undo((sh("rm", "-f", target),)), repeatable=True)


def note_times(paths: list[DatastorePath]) -> Command:
    """Names, sizes and modification times: the same before and after proves that nobody wrote."""
    return sh("stat", "-c", "%N,%s,%y", *paths)


def unchanged(since: str) -> Judge:
    """Judge of a second `note_times`: it must answer what the capture `since` holds."""

    def judge(reply: Reply, captures: Captures) -> None:
        if reply.require("looking at the disks again") != captures[since]:
            raise StepFailed(
                "the VM's files changed while they were read, so the backup would not be consistent",
                code="changed_while_read",
                hint="make sure that nobody powers the VM on, and back up again",
            )

    return judge


def _agent(mode: Mode, flat: DatastorePath, *words: int | str) -> Command:
    return sh("python3", "-c", LOADER, mode, flat, *words)
