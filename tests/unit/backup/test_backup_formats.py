"""The written formats: ids, block map, digests, packs, manifest. What does not fit is refused."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.backup import manifest_text
from ceso_mcp.backup.block_map import BlockMap, MapWriter, Piece, Run, pieces, unmapped_data
from ceso_mcp.backup.framing import Framer
from ceso_mcp.backup.manifest import HostRecord, Manifest, NotIncluded, VmRecord
from ceso_mcp.backup.names import BackupId, pack_object, vm_id
from ceso_mcp.backup.pack import Frame, frames_of, seek_table
from ceso_mcp.backup.sums import Sums, block_bytes_for, block_digest, frame_bytes_for, header
from ceso_mcp.errors import InvalidArguments, Unreadable

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
BLOCK = 64 * KIB


@pytest.mark.parametrize(
    ("capacity_bytes", "block_bytes"),
    [
        (512, 64 * KIB),
        (256 * GIB, 64 * KIB),
        (256 * GIB + 512, 128 * KIB),
        (1 * TIB, 256 * KIB),
        (4 * TIB, MIB),
        (4 * TIB + 512, 2 * MIB),
        (64 * TIB, 16 * MIB),
    ],
)
def test_blocks_grow_with_the_disk(capacity_bytes: int, block_bytes: int) -> None:
    assert block_bytes_for(capacity_bytes) == block_bytes
    assert frame_bytes_for(block_bytes) == max(MIB, block_bytes)


def test_an_id_reads_back_and_sorts_by_time() -> None:
    one = BackupId("564d-1", datetime(2026, 1, 15, 3, 15, tzinfo=UTC), "4f2a9c")
    assert str(one) == "564d-1/20260115T031500Z-4f2a9c"
    assert BackupId.parse(str(one)) == one
    later = BackupId("564d-1", one.taken + timedelta(seconds=1), "0000")
    assert sorted([later, one]) == [one, later]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "x/y",
        "../20260115T031500Z-4f2a9c",
        "a..b/20260115T031500Z-4f2a9c",
        "/20260115T031500Z-4f2a9c",
        "a/b/20260115T031500Z-4f2a9c",
        "a/20261315T031500Z-4f2a9c",
        "a/20260115T031500Z-4F2A9C",
        "a/20260115T031500Z-4f2a9c\n",
        "a/20260115T031500-4f2a9c",
        ".a/20260115T031500Z-4f2a9c",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidArguments):
        BackupId.parse(text)


def test_an_id_has_whole_seconds_of_utc() -> None:
    for taken in (
        datetime(2026, 1, 1),
        datetime(2026, 1, 1, 0, 0, 0, 5, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))),
    ):
        with pytest.raises(InvalidArguments):
            BackupId("a", taken, "4f2a9c")


def test_both_spellings_of_a_uuid_give_one_vm_id() -> None:
    wanted = "564d7c1e-0011-2233-4455-66778899aabb"
    assert vm_id("56 4d 7c 1e 00 11 22 33-44 55 66 77 88 99 aa bb") == wanted
    assert vm_id(wanted.upper()) == wanted
    for bad in ("", "56 4d", wanted + "0", "zz" + wanted[2:]):
        with pytest.raises(InvalidArguments):
            vm_id(bad)


def test_a_pack_is_named_by_a_hash_and_nothing_else() -> None:
    digest = "ab" * 32
    assert pack_object(digest, ".zst") == f"packs/ab/{digest}.zst"
    for bad in ("", digest.upper(), digest[1:], "../" + digest[3:]):
        with pytest.raises(InvalidArguments):
            pack_object(bad, ".zst")


def parse(text: bytes, capacity_bytes: int = 4 * MIB + 512, packs: tuple[int, ...] = (MIB, MIB)) -> BlockMap:
    return BlockMap.parse(text, capacity_bytes=capacity_bytes, block_bytes=BLOCK, pack_raw_bytes=packs)


def test_runs_that_continue_each_other_become_one_line() -> None:
    writer = MapWriter()
    runs = [Run(0, BLOCK, 0, 0), Run(BLOCK, BLOCK, 0, BLOCK), Run(4 * BLOCK, BLOCK, 0, 2 * BLOCK)]
    runs += [Run(5 * BLOCK, BLOCK, 1, 0), Run(4 * MIB, 512, 1, BLOCK)]
    text = b"".join(writer.add(run) for run in runs) + writer.finish()
    assert text == (b"0 131072 0 0\n262144 65536 0 131072\n327680 65536 1 0\n4194304 512 1 65536\n")
    assert list(parse(text)) == [Run(0, 2 * BLOCK, 0, 0), *runs[2:]]
    assert parse(text).data_bytes == 4 * BLOCK + 512
    assert [list(found) for found in parse(text).by_pack(3)] == [[0, 1], [2, 3], []]
    assert len(parse(b"")) == 0


@pytest.mark.parametrize(
    "text",
    [
        b"0 65536 0 0",
        b"0 65536 0\n",
        b"0 65536 0 0 0\n",
        b"0 65536 0 x\n",
        b"00 65536 0 0\n",
        b"0 0 0 0\n",
        b"-0 65536 0 0\n",
        b" 0 65536 0 0\n",
        b"\n",
        b"0 65536 0 0\r\n",
        b"65536 65536 0 0\n0 65536 0 65536\n",
        b"0 131072 0 0\n65536 65536 0 0\n",
        b"4194304 1024 0 0\n",
        b"512 65536 0 0\n",
        b"0 512 0 0\n",
        b"0 65536 2 0\n",
        b"0 1048576 0 65536\n",
        b"4259840 65536 0 0\n",
    ],
)
def test_a_line_that_does_not_fit_is_refused(text: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(text)


def test_a_run_is_cut_at_the_borders_of_frames() -> None:
    frames = [Frame(0, 9, 0, MIB), Frame(9, 9, MIB, BLOCK), Frame(18, 9, MIB + BLOCK, 512)]
    starts = [frame.raw_start for frame in frames]
    run = Run(8 * MIB, BLOCK * 2 + 512, 0, MIB - BLOCK)
    assert list(pieces(run, frames, starts, BLOCK)) == [
        Piece(0, MIB - BLOCK, BLOCK, 8 * MIB),
        Piece(1, 0, BLOCK, 8 * MIB + BLOCK),
        Piece(2, 0, 512, 8 * MIB + 2 * BLOCK),
    ]
    for wrong in (Run(0, 1024, 0, MIB + BLOCK), Run(0, 2 * BLOCK, 0, MIB - 512)):
        with pytest.raises(Unreadable):
            list(pieces(wrong, frames, starts, BLOCK))


def test_data_that_no_run_holds_is_noticed() -> None:
    digests = bytearray(16 * 65)
    for block in (0, 5, 64):
        digests[block * 16] = 1
    sums = Sums(4 * MIB + 512, BLOCK, bytes(16), bytes(digests))
    whole = b"0 65536 0 0\n327680 65536 0 65536\n4194304 512 0 131072\n"
    assert unmapped_data(parse(whole), sums) == []
    lines = whole.splitlines(keepends=True)
    for missing, block in enumerate((0, 5, 64)):
        found = unmapped_data(parse(b"".join(lines[:missing] + lines[missing + 1 :])), sums)
        assert len(found) == 1
        assert found[0][0] <= block * BLOCK < sum(found[0])


def test_digests_read_back_and_find_a_changed_block() -> None:
    key, data = bytes(range(16)), random.Random(1).randbytes(2 * BLOCK + 512)
    text = header(len(data), BLOCK, key) + b"".join(
        block_digest(data[at : at + BLOCK], key) for at in range(0, len(data), BLOCK)
    )
    sums = Sums.parse(text)
    assert (sums.capacity_bytes, sums.block_bytes, sums.key) == (len(data), BLOCK, key)
    assert sums.mismatches(0, data) == []
    changed = bytearray(data)
    changed[BLOCK + 1] ^= 1
    changed[-1] ^= 1
    assert sums.mismatches(0, bytes(changed)) == [(BLOCK, BLOCK), (2 * BLOCK, 512)]
    assert sums.of(1) == hashlib.blake2b(data[BLOCK : 2 * BLOCK], digest_size=16, key=key).digest()
    for wrong in (text[:-1], text + b"x", b"", text[1:], text.replace(b"block=65536", b"block=131072")):
        with pytest.raises(Unreadable):
            Sums.parse(wrong)


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 1 << 24)), max_size=20))
def test_a_seek_table_tells_where_every_frame_lies(sizes: list[tuple[int, int]]) -> None:
    body = bytes(sum(stored for stored, _ in sizes))
    frames = frames_of(body + seek_table(sizes))
    assert [(frame.stored_bytes, frame.raw_bytes) for frame in frames] == sizes
    assert [frame.start for frame in frames] == [sum(s for s, _ in sizes[:n]) for n in range(len(sizes))]
    assert [frame.raw_start for frame in frames] == [sum(r for _, r in sizes[:n]) for n in range(len(sizes))]
    for wrong in (b"x" + body + seek_table(sizes), body + seek_table(sizes)[:-1], b""):
        with pytest.raises(Unreadable):
            frames_of(wrong)


def test_the_seek_table_is_that_of_the_seekable_format() -> None:
    # Field by field from the seekable format's description, version 0.1.0.
    table = seek_table([(3, 5)])
    assert table[:4] == bytes.fromhex("5e2a4d18")
    assert table[4:8] == (17).to_bytes(4, "little")
    assert table[8:16] == (3).to_bytes(4, "little") + (5).to_bytes(4, "little")
    assert table[16:20] == (1).to_bytes(4, "little")
    assert table[20:] == b"\x00" + bytes.fromhex("b1ea928f")


@given(st.data())
def test_runs_depend_on_the_disk_alone(data: st.DataObject) -> None:
    blocks = data.draw(st.lists(st.booleans(), min_size=1, max_size=40))
    disk = b"".join((b"x" if full else b"\0") * 4 for full in blocks)
    disk = disk[: len(disk) - data.draw(st.integers(0, 3))]
    whole = Framer(4, 32)
    wanted = [*whole.add(0, disk), *whole.finish()]
    cuts = sorted({4 * cut for cut in data.draw(st.lists(st.integers(1, len(blocks)), max_size=9))})
    edges = [0, *[cut for cut in cuts if cut < len(disk)], len(disk)]
    framer, got = Framer(4, 32), []
    for start, end in pairwise(edges):
        got += framer.add(start, disk[start:end])
    got += framer.finish()
    assert got == wanted
    rebuilt = bytearray(len(disk))
    for offset, run in got:
        assert offset // 32 == (offset + len(run) - 1) // 32
        rebuilt[offset : offset + len(run)] = run
    assert rebuilt == disk


def manifest() -> Manifest:
    return Manifest(
        id="vm/20260115T031500Z-4f2a9c",
        state="complete",
        kind="cold",
        consistency="powered_off",
        created=datetime(2026, 1, 15, 3, 15, tzinfo=UTC),
        finished=datetime(2026, 1, 15, 3, 16, tzinfo=UTC),
        tool_version="0.1.0",
        repository="r",
        encryption="none",
        vm=VmRecord(name='web "é" \u2028\n 01', uuid_bios="56 4d", vmx_path="[ds] a/a.vmx"),
        host=HostRecord(name="h", esxi_version="8.0.3", esxi_build="1"),
        raw_bytes=0,
        stored_bytes=0,
        not_included=(NotIncluded(what="scsi0:1", why="independent disk"),),
    )


def test_a_manifest_reads_back_and_always_looks_the_same() -> None:
    text = manifest_text.render(manifest())
    assert manifest_text.parse(text) == manifest()
    assert manifest_text.render(manifest_text.parse(text)) == text
    document = json.loads(text)
    assert list(document)[:3] == ["format", "version", "id"]
    assert list(document)[-1] == "checksum"
    assert document["vm"]["name"] == 'web "é" \u2028\n 01'


def test_any_change_of_a_manifest_is_noticed() -> None:
    text = manifest_text.render(manifest())
    for at in range(len(text)):
        flipped = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
        for changed in (flipped, text[:at], text[:at] + text[at + 1 :]):
            with pytest.raises(Unreadable):
                manifest_text.parse(changed)
    with pytest.raises(Unreadable):
        manifest_text.parse(text + b"\n")


def signed(document: dict[str, object]) -> bytes:
    """A manifest's text with a right checksum, whatever it says."""
    body = json.dumps(document, indent=1).removesuffix("\n}").encode() + b",\n"
    return body + b' "checksum": "%s"\n}\n' % hashlib.sha256(body).hexdigest().encode()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"format": "other"},
        {"surprise": 1},
        {"state": "failed"},
        {"raw_bytes": 1},
        {"stored_bytes": 1},
        {"id": "vm/20260115T031501Z-4f2a9c"},
        {"created": "2026-01-15T03:15:00+02:00"},
        {"finished": "2026-01-15T03:14:59Z"},
        {"files": [{"name": "../x", "bytes": 0, "sha256": "0" * 64}]},
        {"files": [{"name": "x", "bytes": 0, "sha256": "0" * 64}]},
        {"disks": [{}]},
    ],
)
def test_a_manifest_that_contradicts_itself_or_this_version_is_refused(change: dict[str, object]) -> None:
    document = json.loads(manifest_text.render(manifest()))
    del document["checksum"]
    assert manifest_text.parse(signed(document)) == manifest()
    with pytest.raises(Unreadable):
        manifest_text.parse(signed(document | change))
