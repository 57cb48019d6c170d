"""The host's side where there is no python3: disks read and written by `dd` in a line for its shell.

    sh -c READ ceso FLAT              standard input: `resume_payload`; output: the disk from there on
    sh -c WRITE ceso FLAT CAPACITY    standard input: `dd_frames`; output: the JSON line of `agents`' writer

READ sends everything, zeros too; `raw_stream` makes of it what the agent would have sent. Its proof is the
number of bytes that came.

WRITE takes frames of one line and a body, and an end:

    BS SEEK COUNT\\n        then BS*COUNT bytes of the disk from byte BS*SEEK on
    end FRAMES CAPACITY\\n

The shell's `read` takes a pipe byte by byte, so it leaves the body to `dd`; `dd` with iflag=fullblock takes
exactly what it is told, however the bytes arrive. What is cut off in the middle of a body or of a line
has no end line, and then there is no JSON line. A file of another size than CAPACITY is refused before
it is touched. `rehearsal` lets the same line write frames that arrive in pieces to /dev/null: it shows
that this host's shell and dd do all that, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ceso_mcp.backup.answers import WriteResult, parse_write_result
from ceso_mcp.backup.wire import END, HEAD
from ceso_mcp.errors import Unreadable
from ceso_mcp.shell import Command, Word, sh

READ_UNIT_BYTES = 1 << 20
"""Reading begins at a multiple of this, or at the disk's end."""
_LARGEST_UNIT_BYTES = 1 << 20
_LARGEST_BODY_BYTES = 8 << 20
_LEAST_UNIT_BYTES = 64 << 10

_READ = (
    f'read -r at && exec dd if="$1" bs={READ_UNIT_BYTES} '
    f"skip=$(((at + {READ_UNIT_BYTES - 1}) / {READ_UNIT_BYTES}))"
)

_WRITE = "; ".join(
    (
        'n=0; m=0; s=$(stat -c %s "$1")',
        '[ "$s" = "$2" ] || { echo "ceso: the file has $s bytes, not the $2 expected" >&2; exit 1; }',
        'while read -r b k c; do if [ "$b" = end ]',
        'then [ "$2" = 0 ] || dd if=/dev/null of="$1" count=0 conv=notrunc,fsync 2>/dev/null || sync',
        '[ "$k $c $(stat -c %s "$1")" = "$n $2 $2" ] || break',
        r'printf "{\"capacity\": %s, \"frames\": %s, \"written\": %s}\n" "$2" "$n" "$m"; exit; fi',
        'e=$(dd of="$1" bs="$b" seek="$k" count="$c" iflag=fullblock conv=notrunc 2>&1) '
        '|| { echo "ceso: $e" >&2; exit 1; }',
        "n=$((n + 1)); m=$((m + b * c)); done",
        'echo "ceso: the input ended early, or its end does not fit what came" >&2; exit 1',
    )
)

_PIECES = (
    r'printf "512 0 1\n%300s" x; usleep 200000; printf "%212s512 0 1\n" y; usleep 200000; '
    r'printf "%512send 2 0\n" z'
)


def read_line(flat: Word) -> Command:
    """Send the whole file, or what is left of it."""
    return sh("sh", "-c", _READ, "ceso", flat)


def write_line(flat: Word, capacity_bytes: int) -> Command:
    """Write frames into an existing file of exactly this size; one that is cut keeps what was written."""
    return sh("sh", "-c", _WRITE, "ceso", flat, capacity_bytes)


def rehearsal() -> Command:
    """The writing line on /dev/null, fed with frames that arrive in pieces; `rehearsed` reads the reply."""
    return sh("sh", "-c", _PIECES).piped(write_line("/dev/null", 0))


def rehearsed(stdout: str) -> bool:
    """Whether each frame was taken whole, and nothing of what followed it."""
    try:
        return parse_write_result(stdout) == WriteResult(0, 2, 1024)
    except Unreadable:
        return False


def dd_frames(wire: Iterable[bytes]) -> Iterator[bytes]:
    """The stream for WRITE out of the chunks of a wire stream, each of them one data frame or the end.

    Neighbours are joined, up to 8 MiB: each frame costs the host a process.
    """
    offset, body, size, frames = 0, list[bytes | memoryview](), 0, 0
    for chunk in wire:
        kind, start, length = HEAD.unpack_from(chunk)
        if body and (kind == END or start != offset + size or size + length > _LARGEST_BODY_BYTES):
            count, framed = _framed(offset, b"".join(body))
            frames += count
            yield framed
            body, size = [], 0
        if kind == END:
            yield b"end %d %d\n" % (frames, start)
            continue
        if not body:
            offset = start
        body.append(memoryview(chunk)[HEAD.size :])
        size += length


def dd_data_bytes(chunk: bytes) -> int:
    """How much data of the disk is in one chunk of `dd_frames`."""
    at = found = 0
    while at < len(chunk):
        border = chunk.index(b"\n", at) + 1
        words = chunk[at:border].split()
        if words[0] == b"end":
            break
        size = int(words[0]) * int(words[2])
        found, at = found + size, border + size
    return found


def _framed(offset: int, data: bytes) -> tuple[int, bytes]:
    """How many frames, and the frames: a disk's end may be no multiple of the least unit."""
    whole = len(data) - len(data) % _LEAST_UNIT_BYTES
    parts = [(offset, data[:whole]), (offset + whole, data[whole:])]
    framed = [part for start, body in parts if body for part in (_head(start, len(body)), body)]
    return len(framed) // 2, b"".join(framed)


def _head(offset: int, length: int) -> bytes:
    """The largest unit that both are multiples of: fewer and larger writes."""
    both = offset | length | _LARGEST_UNIT_BYTES
    unit = both & -both
    return b"%d %d %d\n" % (unit, offset // unit, length // unit)
