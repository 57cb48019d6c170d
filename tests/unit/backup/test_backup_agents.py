"""The programs for the host, run by a real interpreter the way their command line runs them."""

from __future__ import annotations

import ast
import json
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ceso_mcp.backup import agents, answers
from ceso_mcp.backup.framing import Framer
from ceso_mcp.backup.sums import Sums, block_bytes_for, run_digests
from ceso_mcp.backup.wire import HEAD, WireDecoder, data_head, end_frame
from ceso_mcp.errors import Unreadable

BLOCK = 65536
ODD = (9 << 20) + 3 * 512
MIB = 1 << 20
MODES: tuple[agents.Mode, ...] = ("read", "write", "compare")


def run(mode: agents.Mode, *arguments: object, payload: bytes = b"", stdin: bytes | None = None):  # type: ignore[no-untyped-def]
    command = [sys.executable, "-S", "-c", agents.LOADER, mode, *map(str, arguments)]
    content = agents.agent_stdin(mode) + payload if stdin is None else stdin
    return subprocess.run(command, input=content, capture_output=True, check=False, timeout=30)


def image(capacity_bytes: int = ODD, seed: int = 1) -> bytes:
    chance = random.Random(seed)
    content = bytearray(capacity_bytes)
    for _ in range(max(1, capacity_bytes >> 18)):
        at = chance.randrange(capacity_bytes)
        piece = chance.randbytes(min(chance.randrange(1, 100_000), capacity_bytes - at))
        content[at : at + len(piece)] = piece
    content[-1] = 7
    return bytes(content)


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    path = tmp_path / "web 01-flat.vmdk"
    content = image()
    with path.open("wb") as file:
        file.truncate(len(content))
        for at in range(0, len(content), 4096):
            if any(content[at : at + 4096]):
                file.seek(at)
                file.write(content[at : at + 4096])
    return path


def decoded(stream: bytes, capacity_bytes: int) -> tuple[bytes, list[tuple[int, int]]]:
    content, frames, at = bytearray(capacity_bytes), [], 0
    while stream[at] in (1, 2):
        if stream[at] == 2:
            at += 13
            continue
        offset = int.from_bytes(stream[at + 1 : at + 9], "big")
        length = int.from_bytes(stream[at + 9 : at + 13], "big")
        content[offset : offset + length] = stream[at + 13 : at + 13 + length]
        frames.append((offset, length))
        at += 13 + length
    assert stream[at:] == end_frame(capacity_bytes, len(frames))
    return bytes(content), frames


def sums_of(content: bytes, key: bytes = bytes(range(16))) -> Sums:
    block = block_bytes_for(len(content))
    digests = b"".join(
        run_digests(piece, block, key) if any(piece) else bytes(16)
        for piece in (content[at : at + block] for at in range(0, len(content), block))
    )
    return Sums(len(content), block, key, digests)


def one_line(stderr: bytes) -> str:
    text = stderr.decode()
    assert text.count("\n") == 1, text
    assert text.startswith("ceso: "), text
    return text


@pytest.mark.parametrize("sparse", [True, False])
def test_reading_sends_exactly_the_non_zero_blocks(flat: Path, sparse: bool) -> None:
    if not sparse:
        flat.write_bytes(flat.read_bytes())
    done = run("read", flat, ODD, BLOCK)
    assert (done.returncode, done.stderr) == (0, b"")
    content, frames = decoded(done.stdout, ODD)
    assert content == flat.read_bytes()
    blocks = {at for offset, length in frames for at in range(offset, offset + length, BLOCK)}
    assert blocks == {at for at in range(0, ODD, BLOCK) if any(content[at : at + BLOCK])}
    assert max(length for _, length in frames) <= 1 << 20


@pytest.mark.parametrize("capacity_bytes", [512, BLOCK, BLOCK + 512, 1 << 20, (4 << 20) + 512, ODD])
@pytest.mark.parametrize("block", [BLOCK, BLOCK * 2])
def test_reading_cuts_a_disk_as_the_repository_does(tmp_path: Path, capacity_bytes: int, block: int) -> None:
    content = image(capacity_bytes, seed=capacity_bytes)
    path = tmp_path / "flat"
    path.write_bytes(content)
    framer = Framer(block, 1 << 20)
    runs = [*framer.add(0, content), *framer.finish()]
    _, frames = decoded(run("read", path, capacity_bytes, block).stdout, capacity_bytes)
    assert frames == [(offset, len(data)) for offset, data in runs]


def test_a_disk_of_zeros_is_only_an_end(tmp_path: Path) -> None:
    path = tmp_path / "flat"
    path.write_bytes(bytes(ODD))
    assert run("read", path, ODD, BLOCK).stdout == end_frame(ODD, 0)
    with path.open("wb") as file:
        file.truncate(ODD)
    assert run("read", path, ODD, BLOCK).stdout == end_frame(ODD, 0)


class FileSystem:
    """Stands for the host's `os`: what it says of data, and how much is allocated."""

    SEEK_DATA, SEEK_HOLE = 3, 4

    def __init__(self, data: list[tuple[int, int]], allocated: int, errno: int = 0) -> None:
        self._data, self._allocated, self._errno = data, allocated, errno

    def lseek(self, fd: int, at: int, whence: int) -> int:
        if self._errno:
            raise OSError(self._errno, "")
        for start, end in self._data:
            if at < end:
                return max(at, start) if whence == self.SEEK_DATA else end
        raise OSError(6, "no data behind")

    def fstat(self, fd: int) -> SimpleNamespace:
        return SimpleNamespace(st_blocks=self._allocated // 512)


def stretches(system: FileSystem, size: int, since: int = 0) -> list[tuple[int, int, bool]]:
    names: dict[str, Any] = {}
    text = agents.program("read")
    exec(text[text.index("def told") : text.index("def run")], names)
    names["os"] = system
    return list(names["stretches"](0, size, MIB, since))


def test_only_what_the_file_system_calls_data_is_read_in_whole_steps() -> None:
    data = [(MIB + 4096, MIB + 8192), (3 * MIB - 512, 4 * MIB + 1), (6 * MIB, 6 * MIB + 512)]
    found = stretches(FileSystem(data, sum(end - start for start, end in data)), 9 * MIB)
    assert found == [
        (0, MIB, False),
        (MIB, 5 * MIB, True),
        (5 * MIB, 6 * MIB, False),
        (6 * MIB, 7 * MIB, True),
        (7 * MIB, 9 * MIB, False),
    ]
    assert stretches(FileSystem(data, 0), 9 * MIB, since=4 * MIB + BLOCK) == [
        (4 * MIB + BLOCK, 5 * MIB, True),
        *found[2:],
    ]
    assert stretches(FileSystem([], 0), 9 * MIB) == [(0, 9 * MIB, False)]


@pytest.mark.parametrize(
    "system",
    [
        pytest.param(FileSystem([(0, MIB)], 2 * MIB), id="more is allocated than it calls data"),
        pytest.param(FileSystem([], MIB), id="nothing is called data"),
        pytest.param(FileSystem([(0, MIB)], MIB, errno=22), id="it does not know the question"),
        pytest.param(FileSystem([(0, 10 * MIB)], MIB), id="it speaks of more than there is"),
    ],
)
def test_a_file_system_that_does_not_account_for_everything_is_not_believed(system: FileSystem) -> None:
    assert stretches(system, 9 * MIB) == [(0, 9 * MIB, True)]


def test_a_file_system_that_cannot_tell_holes_calls_everything_data() -> None:
    assert stretches(FileSystem([(0, 9 * MIB)], 3 * MIB), 9 * MIB) == [(0, 9 * MIB, True)]


def test_what_was_read_can_be_written_and_compared(flat: Path, tmp_path: Path) -> None:
    stream = run("read", flat, ODD, BLOCK).stdout
    copy = tmp_path / "copy-flat.vmdk"
    with copy.open("wb") as file:
        file.truncate(ODD)
    inode = copy.stat().st_ino
    done = run("write", copy, ODD, payload=stream)
    assert (done.returncode, done.stderr) == (0, b"")
    frames = decoded(stream, ODD)[1]
    result = answers.parse_write_result(done.stdout.decode())
    assert result == answers.WriteResult(ODD, len(frames), sum(length for _, length in frames))
    assert copy.read_bytes() == flat.read_bytes()
    assert copy.stat().st_ino == inode
    sums = sums_of(flat.read_bytes())
    same = run("compare", copy, ODD, BLOCK, payload=agents.compare_payload(sums))
    assert same.returncode == 0
    assert answers.parse_compare_result(same.stdout.decode()) == answers.CompareResult(
        -(-ODD // BLOCK), 0, ()
    )


def test_comparing_finds_every_block_that_differs(flat: Path) -> None:
    sums = sums_of(flat.read_bytes())
    changed = bytearray(flat.read_bytes())
    zero = next(at for at in range(0, ODD, BLOCK) if not any(changed[at : at + BLOCK]))
    full = next(at for at in range(0, ODD, BLOCK) if any(changed[at : at + BLOCK]))
    last = ODD - ODD % BLOCK
    changed[zero + 5] = 1
    changed[full : full + BLOCK] = bytes(BLOCK)
    changed[ODD - 1] ^= 1
    flat.write_bytes(changed)
    done = run("compare", flat, ODD, BLOCK, payload=agents.compare_payload(sums))
    assert done.returncode == 3
    result = answers.parse_compare_result(done.stdout.decode())
    assert result == answers.CompareResult(-(-ODD // BLOCK), 3, tuple(sorted((zero, full, last))))


def test_comparing_lists_at_most_sixteen_offsets(tmp_path: Path) -> None:
    path = tmp_path / "flat"
    path.write_bytes(b"x" * (4 << 20))
    sums = sums_of(bytes(4 << 20))
    done = run("compare", path, 4 << 20, BLOCK, payload=agents.compare_payload(sums))
    result = answers.parse_compare_result(done.stdout.decode())
    assert (result.blocks, result.different) == (64, 64)
    assert result.first == tuple(range(0, 16 * BLOCK, BLOCK))


@pytest.mark.parametrize("size", [0, ODD - 512, ODD + 512])
@pytest.mark.parametrize("mode", MODES)
def test_a_file_of_another_size_is_refused_untouched(tmp_path: Path, mode: agents.Mode, size: int) -> None:
    path = tmp_path / "flat"
    path.write_bytes(b"z" * size)
    payload = data_head(0, BLOCK) + b"x" * BLOCK + end_frame(ODD, 1)
    done = run(mode, path, ODD, BLOCK, payload=payload)
    assert done.returncode == 1
    assert "bytes, not the" in one_line(done.stderr)
    assert done.stdout == b""
    assert path.read_bytes() == b"z" * size


@pytest.mark.parametrize("mode", MODES)
def test_no_file_is_made_and_no_folder_taken_for_one(tmp_path: Path, mode: agents.Mode) -> None:
    done = run(mode, tmp_path / "absent", ODD, BLOCK)
    assert done.returncode == 1
    assert "No such file" in one_line(done.stderr)
    assert not (tmp_path / "absent").exists()
    done = run(mode, tmp_path, 4096, BLOCK)
    assert done.returncode == 1
    one_line(done.stderr)


@pytest.mark.parametrize("mode", MODES)
def test_a_missing_argument_is_one_line(tmp_path: Path, mode: agents.Mode) -> None:
    for arguments in ((), (tmp_path,), (tmp_path, "x")):
        done = run(mode, *arguments)
        assert done.returncode == 1
        one_line(done.stderr)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(data_head(0, 512)[:5], id="half a head"),
        pytest.param(data_head(0, 512), id="no body"),
        pytest.param(data_head(0, 512) + b"x" * 511, id="half a body"),
        pytest.param(data_head(0, 512) + b"x" * 512, id="no end"),
        pytest.param(b"", id="nothing"),
        pytest.param(data_head(0, 512) + b"x" * 512 + end_frame(4096, 2), id="a frame too few"),
        pytest.param(end_frame(4095, 0), id="another disk's end"),
        pytest.param(data_head(4096 - 511, 512) + b"x" * 512 + end_frame(4096, 1), id="over the end"),
        pytest.param(data_head(4096, 1) + b"x" + end_frame(4096, 1), id="behind the end"),
        pytest.param(b"\0" + data_head(0, 512)[1:] + end_frame(4096, 1), id="a frame of zeros"),
        pytest.param(b"\x07" + bytes(12), id="no known type"),
        pytest.param(data_head(0, 0) + end_frame(4096, 1), id="an empty frame"),
    ],
)
def test_writing_fails_unless_the_stream_is_whole(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "flat"
    path.write_bytes(b"z" * 4096)
    done = run("write", path, 4096, payload=payload)
    assert done.returncode == 1
    one_line(done.stderr)
    with pytest.raises(Unreadable):
        answers.parse_write_result(done.stdout.decode())
    assert path.stat().st_size == 4096


def test_writing_touches_only_what_the_stream_holds(tmp_path: Path) -> None:
    path = tmp_path / "flat"
    path.write_bytes(b"z" * 4096)
    later, sooner = data_head(2048, 512) + b"y" * 512, data_head(512, 512) + b"x" * 512
    done = run("write", path, 4096, payload=later + sooner + end_frame(4096, 2))
    assert done.returncode == 0
    assert path.read_bytes() == b"z" * 512 + b"x" * 512 + b"z" * 1024 + b"y" * 512 + b"z" * 1536


@pytest.mark.parametrize("keep", [0, 5, 16, 17, 31, 400])
def test_comparing_fails_on_short_input(flat: Path, keep: int) -> None:
    payload = agents.compare_payload(sums_of(flat.read_bytes()))
    done = run("compare", flat, ODD, BLOCK, payload=payload[:keep])
    assert done.returncode == 1
    assert "cut" in one_line(done.stderr)
    assert done.stdout == b""


@pytest.mark.parametrize("mode", MODES)
def test_a_program_cut_anywhere_never_proves_anything(tmp_path: Path, mode: agents.Mode) -> None:
    path = tmp_path / "flat"
    path.write_bytes(b"z" * 4096)
    whole = agents.agent_stdin(mode)
    chance = random.Random(2)
    cuts = [0, 2, 5, len(whole) - 2, len(whole) - 9, *(chance.randrange(len(whole)) for _ in range(3))]
    for cut in cuts:
        done = run(mode, path, 4096, BLOCK, stdin=whole[:cut])
        assert done.stdout == b"", cut
        assert path.read_bytes() == b"z" * 4096


@pytest.mark.parametrize("mode", MODES)
def test_the_programs_are_python_3_6_and_small(mode: agents.Mode) -> None:
    text = agents.program(mode)
    tree = ast.parse(text, feature_version=(3, 6))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= set(sys.stdlib_module_names)
    assert len(text) < 5120
    assert text.isascii()
    length, _, rest = agents.agent_stdin(mode).partition(b"\n")
    assert int(length) == len(rest) == len(text)


@pytest.mark.parametrize("text", ["", "{}", "[]", "1", '{"capacity":1,"frames":1,"written":-1}', "x\n{}"])
def test_an_answer_that_is_not_the_line_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        answers.parse_write_result(text)
    with pytest.raises(Unreadable):
        answers.parse_compare_result(text)


def test_an_answer_with_a_banner_before_it_is_unreadable() -> None:
    line = json.dumps({"capacity": 1, "frames": 1, "written": 1})
    assert answers.parse_write_result(line + "\n").written_bytes == 1
    with pytest.raises(Unreadable):
        answers.parse_write_result("welcome\n" + line)


def large(path: Path, data: dict[int, bytes], capacity_bytes: int = 200 << 20) -> Path:
    with path.open("wb") as file:
        file.truncate(capacity_bytes)
        for at, content in data.items():
            file.seek(at)
            file.write(content)
    return path


def test_the_reader_tells_where_it_is_though_nothing_is_sent(tmp_path: Path) -> None:
    flat = large(tmp_path / "a-flat.vmdk", {3 << 20: b"x" * BLOCK, 130 << 20: b"y" * BLOCK})
    found = run("read", flat, 200 << 20, BLOCK, payload=agents.resume_payload(0))
    decoder = WireDecoder(200 << 20, BLOCK)
    seen = []
    for at in range(0, len(found.stdout), 13):
        seen += [offset for offset, _ in decoder.feed(found.stdout[at : at + 13])]
        seen.append(-decoder.position)
    positions = [-value for value in dict.fromkeys(seen) if value < 0]
    assert {64 << 20, 128 << 20, 192 << 20} <= set(positions)
    assert [value for value in seen if value > 0] == [3 << 20, 130 << 20]
    assert decoder.complete


def test_a_broken_stream_goes_on_behind_the_last_position() -> None:
    decoder = WireDecoder(200 << 20, BLOCK)
    assert list(decoder.feed(HEAD.pack(2, 64 << 20, 0))) == []
    assert decoder.resume() == 64 << 20


@pytest.mark.parametrize("offset", [1, 300 << 20, 32 << 20])
def test_a_position_that_cannot_be_is_refused(offset: int) -> None:
    decoder = WireDecoder(200 << 20, BLOCK)
    list(decoder.feed(HEAD.pack(2, 64 << 20, 0)))
    with pytest.raises(Unreadable, match="a position that cannot be"):
        list(decoder.feed(HEAD.pack(2, offset, 0)))


def test_a_comparison_tells_where_it_is_and_finds_what_differs(tmp_path: Path) -> None:
    content = {3 << 20: b"x" * BLOCK, 130 << 20: b"y" * BLOCK}
    flat = large(tmp_path / "a-flat.vmdk", content)
    sums = sums_of(flat.read_bytes())
    payload = agents.compare_payload(sums)
    same = run("compare", flat, 200 << 20, sums.block_bytes, payload=payload)
    assert answers.compared_up_to(same.stdout.decode()) == 192 << 20
    assert answers.parse_compare_result(same.stdout.decode()).different == 0
    large(flat, content | {100 << 20: b"z"})
    other = run("compare", flat, 200 << 20, sums.block_bytes, payload=payload)
    assert other.returncode == 3
    assert answers.parse_compare_result(other.stdout.decode()).first == (100 << 20,)


def test_half_a_line_of_a_comparison_tells_nothing() -> None:
    assert answers.compared_up_to("at 67108864\nat 1342") == 64 << 20
    assert answers.compared_up_to("at 6710") is None
