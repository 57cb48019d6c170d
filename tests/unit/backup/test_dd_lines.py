"""The lines for a host without python3, run by a real busybox, as the host's shell is one."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceso_mcp.backup import dd
from ceso_mcp.backup.agents import resume_payload
from ceso_mcp.backup.answers import WriteResult, parse_write_result
from ceso_mcp.backup.wire import data_head, end_frame
from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.shell import Command

BLOCK = 1 << 16
MIB = 1 << 20
ODD = (9 << 20) + 3 * BLOCK + 3 * 512
NAME = """it's "a" $(test)-flat.vmdk"""


def run(command: Command, folder: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The line as busybox's shell runs it, with `folder` as the datastore ds."""
    line = command.line.replace("/vmfs/volumes/ds", str(folder))
    return subprocess.run(["busybox", "sh", "-c", line], input=stdin, capture_output=True, timeout=60)


def write(folder: Path, stdin: bytes, size: int = ODD) -> subprocess.CompletedProcess[bytes]:
    return run(dd.write_line(DatastorePath("ds", NAME), size), folder, stdin)


def wire(*frames: tuple[int, bytes], capacity_bytes: int = ODD) -> list[bytes]:
    chunks = [data_head(offset, len(data)) + data for offset, data in frames]
    return [*chunks, end_frame(capacity_bytes, len(chunks))]


def sparse(folder: Path, size: int = ODD) -> Path:
    path = folder / NAME
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_every_byte_of_the_disk_is_read_from_any_place_that_is_resumed_at(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(ODD)
    (tmp_path / NAME).write_bytes(content)
    command = dd.read_line(DatastorePath("ds", NAME))
    for at in (0, MIB, 9 * MIB, ODD):
        done = run(command, tmp_path, resume_payload(at))
        assert (done.returncode, done.stdout) == (0, content[at:])


def test_reading_without_its_first_line_or_without_the_file_fails(tmp_path: Path) -> None:
    command = dd.read_line(DatastorePath("ds", NAME))
    done = run(command, tmp_path, resume_payload(0))
    assert done.returncode != 0
    (tmp_path / NAME).write_bytes(b"x" * 512)
    for stdin in (b"", b"0"):
        done = run(command, tmp_path, stdin)
        assert (done.returncode != 0, done.stdout) == (True, b"")


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_what_is_written_is_what_the_stream_holds(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("volume")
    path = sparse(folder)
    starts = [at for at in range(0, ODD, BLOCK) if chance.random() < 0.4]
    frames = [(at, chance.randbytes(min(BLOCK, ODD - at))) for at in starts]
    if chance.random() < 0.5:
        chance.shuffle(frames)
    expected = bytearray(ODD)
    for at, data in frames:
        expected[at : at + len(data)] = data
    chunks = list(dd.dd_frames(wire(*frames)))
    assert sum(map(dd.dd_data_bytes, chunks)) == sum(len(data) for _, data in frames)
    done = write(folder, b"".join(chunks))
    assert (done.returncode, done.stderr) == (0, b"")
    result = parse_write_result(done.stdout.decode())
    assert (result.capacity_bytes, result.written_bytes) == (ODD, sum(len(data) for _, data in frames))
    assert path.read_bytes() == expected


def test_neighbours_are_joined_and_holes_stay_holes(tmp_path: Path) -> None:
    path = sparse(tmp_path, 64 * MIB)
    data = random.Random(2).randbytes(BLOCK)
    frames = [(at, data) for at in range(16 * MIB, 26 * MIB, BLOCK)]
    chunks = list(dd.dd_frames(wire(*frames, capacity_bytes=64 * MIB)))
    assert [len(chunk) >> 20 for chunk in chunks] == [8, 2, 0]
    assert chunks[0].startswith(b"1048576 16 8\n")
    done = write(tmp_path, b"".join(chunks), 64 * MIB)
    assert parse_write_result(done.stdout.decode()) == WriteResult(64 * MIB, 2, 10 * MIB)
    assert path.stat().st_blocks * 512 < 12 * MIB


def test_a_last_block_that_is_no_whole_one(tmp_path: Path) -> None:
    path = sparse(tmp_path)
    data = random.Random(3).randbytes(ODD - 9 * MIB)
    chunks = list(dd.dd_frames(wire((9 * MIB, data))))
    # One chunk: what goes on behind it after a broken connection goes on at a block's border.
    assert [dd.dd_data_bytes(chunk) for chunk in chunks] == [len(data), 0]
    done = write(tmp_path, b"".join(chunks))
    assert parse_write_result(done.stdout.decode()) == WriteResult(ODD, 2, len(data))
    assert path.read_bytes() == bytes(9 * MIB) + data


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.9999, 0.999999])
def test_a_stream_that_is_cut_anywhere_is_never_a_success(tmp_path: Path, share: float) -> None:
    path = sparse(tmp_path)
    frames = [(at, b"x" * BLOCK) for at in range(0, 9 * MIB, 2 * BLOCK)]
    stream = b"".join(dd.dd_frames(wire(*frames)))
    done = write(tmp_path, stream[: int(len(stream) * share)])
    assert done.returncode == 1
    assert b"the input ended early" in done.stderr
    with pytest.raises(Unreadable):
        parse_write_result(done.stdout.decode())
    # What came before it is at its place, and nothing else is: the same stream can be sent again.
    found = path.read_bytes()
    assert len(found) == ODD
    for at in range(0, ODD, BLOCK):
        came = found[at : at + BLOCK].rstrip(b"\0")
        assert came == b"x" * len(came)
        assert not came or at in dict(frames)
    assert parse_write_result(write(tmp_path, stream).stdout.decode()).frames == len(frames)


def test_every_cut_of_a_small_stream(tmp_path: Path) -> None:
    sparse(tmp_path, 1024)
    stream = b"".join(dd.dd_frames(wire((0, b"x" * 512), (512, b"y" * 512), capacity_bytes=1024)))
    head = stream.index(b"\n") + 1
    for cut in [*range(head + 2), *range(len(stream) - 14, len(stream))]:
        done = write(tmp_path, stream[:cut], 1024)
        assert (done.returncode, done.stdout) == (1, b""), cut
    assert write(tmp_path, stream, 1024).returncode == 0


@pytest.mark.parametrize(
    "end", [b"end 0 1024\n", b"end 2 1024\n", b"end 1 512\n", b"end\n", b"\n", b"1 x 1\n"]
)
def test_an_end_that_does_not_fit_is_no_success(tmp_path: Path, end: bytes) -> None:
    sparse(tmp_path, 1024)
    done = write(tmp_path, b"512 1 1\n" + b"x" * 512 + end, 1024)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"ceso: ")


@pytest.mark.parametrize("size", [0, ODD - 512, ODD + 512])
def test_a_file_of_another_size_or_none_is_refused_untouched(tmp_path: Path, size: int) -> None:
    stream = b"".join(dd.dd_frames(wire((0, b"x" * BLOCK))))
    done = write(tmp_path, stream)
    assert done.returncode == 1
    assert not (tmp_path / NAME).exists()
    path = tmp_path / NAME
    path.write_bytes(b"z" * size)
    done = write(tmp_path, stream)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"bytes, not the" in done.stderr
    assert path.read_bytes() == b"z" * size


def test_a_frame_beyond_the_end_is_no_success(tmp_path: Path) -> None:
    sparse(tmp_path, 1024)
    done = write(tmp_path, b"512 2 1\n" + b"x" * 512 + b"end 1 1024\n", 1024)
    assert (done.returncode, done.stdout) == (1, b"")


def test_what_dd_says_is_told(tmp_path: Path) -> None:
    path = sparse(tmp_path, 1024)
    path.chmod(0o400)
    done = run(
        Command(dd.write_line(DatastorePath("ds", NAME), 1024).line.replace("conv=notrunc", "conv=nonsense")),
        tmp_path,
        b"512 0 1\n" + b"x" * 512 + b"end 1 1024\n",
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"ceso: dd: ")


def test_the_rehearsal_passes_here_and_fails_without_fullblock(tmp_path: Path) -> None:
    line = dd.rehearsal()
    assert dd.rehearsed(run(line, tmp_path).stdout.decode())
    without = run(Command(line.line.replace("iflag=fullblock ", "")), tmp_path)
    assert not dd.rehearsed(without.stdout.decode())
    unknown = run(Command(line.line.replace("iflag=fullblock", "iflag=unheard_of")), tmp_path)
    assert not dd.rehearsed(unknown.stdout.decode())
    assert unknown.returncode != 0
    for said in ("", "{}", '{"capacity": 0, "frames": 2, "written": 512}'):
        assert not dd.rehearsed(said)


def test_the_lines_hold_no_quote_that_the_previews_would_misread() -> None:
    for command in (dd.read_line(DatastorePath("ds", NAME)), dd.write_line(DatastorePath("ds", NAME), 1)):
        assert command.holes == ()
        assert "\n" not in command.line
