"""A disk that came whole, by `dd`, fills a repository with the same objects as one that the agent read."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from incremental_cases import NODE, back_up_file, changed, restored, sparse
from repository_cases import FACTS, Kit, backup_id, sparse_image

from ceso_mcp.backup.dd import dd_data_bytes, dd_frames
from ceso_mcp.backup.manifest import Manifest
from ceso_mcp.disk_streams import FedFrames
from ceso_mcp.errors import RepositoryFault

SIZE = (6 << 20) + 3 * 512
DISK = {"node": NODE, "file_name": "web 01.vmdk", "descriptor": "# Disk DescriptorFile\n"}


@pytest.fixture(autouse=True)
def one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """All disks get the same key, or their digests could not be the same."""
    monkeypatch.setattr("ceso_mcp.repository.backup_writer.os.urandom", lambda size: bytes(range(size)))


def back_up_raw(
    kit: Kit, content: bytes, run: int, parent: Manifest | None = None, *, breaks: int = 0
) -> Manifest:
    """A backup of `content`, all of whose bytes come; `breaks` times the stream is read again."""
    chance = random.Random(run)
    repository = kit.make()
    old = None if parent is None else repository.parent_disk(parent.id, NODE, len(content))
    with repository.writer(backup_id(run)) as writer:
        disk = writer.disk(0, capacity_bytes=len(content), parent=old, raw=True, **DISK)  # type: ignore[arg-type]
        at = 0
        while at < len(content):
            piece = content[at : at + chance.randrange(1, 2 << 20)]
            disk.feed(piece)
            at += len(piece)
            assert at / len(content) >= disk.share
            if breaks:
                breaks, at = breaks - 1, disk.resume()
        disk.finish()
        writer.add_file("web 01.vmx", b'displayName = "web 01"\n')
        return writer.commit(**FACTS, parent=parent and parent.id)  # type: ignore[arg-type]


def contents_of(kit: Kit) -> dict[str, bytes]:
    """Packs, maps and digests: all objects but the manifests, which tell the time, and the settings."""
    return {
        name: content
        for name, content in kit.objects().items()
        if name.startswith("packs/") or name.endswith((".map", ".sums"))
    }


@pytest.mark.parametrize("seed", range(4))
def test_both_ways_fill_a_repository_alike(tmp_path: Path, seed: int) -> None:
    by_program, raw = Kit(tmp_path / "program", (), ()), Kit(tmp_path / "raw", (), ())
    first = sparse_image(SIZE, seed)
    second = changed(first, seed + 10)
    flat = sparse(tmp_path / "web-flat.vmdk", first)
    parents = back_up_file(by_program, flat, 0)[0], back_up_raw(raw, first, 0, breaks=seed)
    sparse(flat, second)
    seconds = (
        back_up_file(by_program, flat, 1, parents[0])[0],
        back_up_raw(raw, second, 1, parents[1], breaks=seed),
    )
    assert contents_of(raw) == contents_of(by_program)
    assert [pack.sha256 for pack in seconds[0].disks[0].packs] == [
        pack.sha256 for pack in seconds[1].disks[0].packs
    ]
    assert restored(raw, seconds[1]) == second
    # What one way made, the other compares with.
    third = back_up_raw(by_program, first, 2, seconds[0])
    assert restored(by_program, third) == first


def test_a_disk_that_came_short_is_not_kept(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "raw", (), ())
    with kit.make().writer(backup_id(0)) as writer:
        disk = writer.disk(0, capacity_bytes=SIZE, raw=True, **DISK)  # type: ignore[arg-type]
        disk.feed(bytes(SIZE - 1))
        with pytest.raises(RepositoryFault) as caught:
            disk.finish()
    assert caught.value.code == "short_stream"
    assert not contents_of(kit)


def write_into(image: bytearray, chunk: bytes) -> None:
    """What the host's dd does with a chunk."""
    at = 0
    while at < len(chunk):
        line, _, _ = chunk[at:].partition(b"\n")
        if line.startswith(b"end"):
            return
        unit, seek, count = map(int, line.split())
        at += len(line) + 1
        image[unit * seek : unit * (seek + count)] = chunk[at : at + unit * count]
        at += unit * count


@pytest.mark.anyio
@pytest.mark.parametrize("taken", [0, 1, 5, 12])
async def test_writing_goes_on_behind_what_was_surely_written(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ceso_mcp.disk_streams.IN_FLIGHT_BYTES", 1 << 18)
    kit, content = Kit(tmp_path / "raw", (), ()), sparse_image(SIZE, 3, 0.05)
    manifest = back_up_raw(kit, content, 0)
    reader = kit.open().reader(manifest.id)
    first = list(dd_frames(reader.disk_stream(0)))
    assert len(first) > 14

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in first:
            yield chunk

    fed = FedFrames(0, dd_data_bytes)
    image, sent, position = bytearray(SIZE), 0, 0
    async for chunk in fed.watch(chunks()):
        if position == taken:
            break
        position, sent = position + 1, sent + len(chunk)
    safe = fed.safe_bytes()
    reached = 0
    for chunk in first[:taken]:
        reached += len(chunk)
        if sent - reached >= 1 << 18:  # what is later than that was lost on its way
            write_into(image, chunk)
    for chunk in dd_frames(reader.disk_stream(0, skip_bytes=safe)):
        write_into(image, chunk)
    assert bytes(image) == content
    assert safe > 0 or taken < 12
