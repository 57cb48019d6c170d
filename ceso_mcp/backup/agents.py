"""The programs that run on the host, in the Python that ESXi brings, to read and write disks.

A host without one is dealt with by `dd`.

They travel on standard input and leave no file. The command line is

    python3 -c 'import sys;i=sys.stdin.buffer;exec(i.read(int(i.readline())))' MODE PATH ARGS…

with standard input `LENGTH\\n`, the program (`agent_stdin`), then the mode's payload:

| MODE | ARGS | payload | standard output |
| --- | --- | --- | --- |
| read | CAPACITY BLOCK | nothing or `resume_payload` | wire stream (`wire`) of non-zero blocks |
| read | CAPACITY BLOCK changed | `resume_payload`, `known_payload` | … of blocks that changed |
| write | CAPACITY | a wire stream | one JSON line: `{"capacity":…,"frames":…,"written":…}` |
| compare | CAPACITY BLOCK | `compare_payload` | one JSON line: `{"blocks":…,"different":…,"first":[…]}` |

PATH is a flat extent, sizes are in bytes. All refuse a file that is not exactly CAPACITY bytes
long, and end with a non-zero status and one line on standard error when anything is wrong; compare
ends with status 3 when blocks differ (`answers` reads what they say). Every 64 MiB of the disk, read
sends a frame of its position and compare prints a line `at OFFSET` before the JSON. Digests are
taken from standard input in step with the disk, never all at once; `changed` sends a block if its
digest is another than the given one, and a frame of zeros if the block is zero now and was not. read
and compare do not read where the file system says that nothing was ever written (SEEK_DATA,
SEEK_HOLE), if what it says accounts for all that is allocated; otherwise, or where it cannot tell,
they read everything. Whether VMFS tells is not known. `write` only overwrites inside an existing file,
and syncs.

A connection cut while the program itself was arriving can leave a prefix of it, which defines
things and does nothing, with status 0: the end frame or the JSON line is the proof, the status
alone is not. Python 3.6 and later; ESXi 7.0 has 3.8, 8.0 has 3.11 (fact sheet esxcli-and-shell,
shell section).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ceso_mcp.backup.sums import DIGEST_BYTES, Sums

Mode = Literal["read", "write", "compare"]

LOADER = "import sys;i=sys.stdin.buffer;exec(i.read(int(i.readline())))"

_COMMON = r"""
import sys, os, json, struct, hashlib, stat
HEAD = struct.Struct('>BQI')
TELL = 64 << 20

def fail(why):
    raise SystemExit('ceso: ' + why)

def take(n):
    b = i.read(n)
    if len(b) != n:
        fail('the input ended early: the connection was cut')
    return b

def disk(flags):
    path, size = sys.argv[2], int(sys.argv[3])
    fd = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        fail('not a flat disk file')
    found = os.lseek(fd, 0, 2)
    if found != size:
        fail('the file has %d bytes, not the %d expected' % (found, size))
    return fd, size

def at(fd, off, n):
    b = os.pread(fd, n, off)
    while len(b) < n:
        more = os.pread(fd, n - len(b), off + len(b))
        if not more:
            fail('the file ended early, at byte %d' % (off + len(b)))
        b += more
    return b

def told(fd, size, step):
    # Where the file system says that data is, outwards to whole steps; all of it unless that accounts
    # for every allocated block, so that a file system that does not really know loses nothing.
    found, exact, count, p = [], 0, 0, 0
    try:
        while p < size:
            try:
                d = os.lseek(fd, p, os.SEEK_DATA)
            except OSError as e:
                if e.errno != 6:
                    raise
                break
            p = os.lseek(fd, d, os.SEEK_HOLE)
            if not d < p <= size:
                return [(0, size)]
            exact, count = exact + p - d, count + 1
            d, h = d - d % step, min(size, p + -p % step)
            if found and d <= found[-1][1]:
                d = found.pop()[0]
            found.append((d, h))
    except (OSError, AttributeError):
        return [(0, size)]
    # Its own notes on a file of many extents are allocated too, a page for hundreds of them.
    notes = 4096 * (2 + count // 256)
    return found if exact + notes >= os.fstat(fd).st_blocks * 512 else [(0, size)]

def stretches(fd, size, step, p):
    # (from, to, whether it has to be read) in disk order, from p on
    for d, h in told(fd, size, step):
        if h <= p:
            continue
        if d > p:
            yield p, d, False
        yield max(d, p), h, True
        p = h
    if p < size:
        yield p, size, False

def run(main):
    try:
        main()
        sys.stdout.flush()
    except (OSError, ValueError, IndexError) as e:
        fail(' '.join(str(e).split()) or type(e).__name__)
"""

_READ = r"""
def main():
    fd, size = disk(os.O_RDONLY)
    block, compare = int(sys.argv[4]), sys.argv[5:] == ['changed']
    if sys.argv[5:] and not compare:
        fail('changed or nothing')
    since = int(i.readline() or 0)
    if since % block and since != size or since > size:
        fail('the offset to go on from is no block of the disk')
    key = take(16) if compare else b''
    # One frame at a time: what was just read is still in the processor's cache when it is looked at.
    step = max(1 << 20, block)
    zeros, big, zero = bytes(block), bytes(step), bytes(16)
    out, sent, said = sys.stdout.buffer.write, 0, since
    def made(part):
        return hashlib.blake2b(part, digest_size=16, key=key).digest()
    for off, end, data in stretches(fd, size, step, since):
        while off < end:
            n = min(step - off % step, end - off)
            old = take(16 * -(-n // block)) if compare else b''
            b = at(fd, off, n) if data else big[:n]
            if off - said >= TELL:
                said = off
                out(HEAD.pack(2, off, 0))
                sys.stdout.buffer.flush()
            if b == big and not old.strip(b'\0'):
                off += n
                continue
            view, first, last = memoryview(b), 0, None
            for k in range(0, n + block, block):
                kind = None
                if k < n:
                    z = b.startswith(zeros[:min(block, n - k)], k)
                    if compare:
                        was = old[k // block * 16:k // block * 16 + 16]
                        if z:
                            kind = 0 if was != zero else None
                        elif was == zero or made(view[k:k + block]) != was:
                            kind = 1
                    elif not z:
                        kind = 1
                if kind != last:
                    if last is not None:
                        out(HEAD.pack(last, off + first, min(k, n) - first))
                        if last:
                            out(view[first:min(k, n)])
                        sent += 1
                    first, last = k, kind
            off += n
    out(HEAD.pack(255, size, sent))
    sys.stdout.buffer.flush()
run(main)
"""

_WRITE = r"""
def main():
    fd, size = disk(os.O_RDWR)
    frames = written = 0
    while True:
        kind, off, n = HEAD.unpack(take(13))
        if kind == 255:
            break
        if kind != 1 or not 0 < n <= 16 << 20:
            fail('the input is not a disk stream')
        if off + n > size:
            fail('a frame lies outside the disk')
        view = memoryview(take(n))
        while view:
            done = os.pwrite(fd, view, off)
            view, off = view[done:], off + done
        frames, written = frames + 1, written + n
    if (off, n) != (size, frames):
        fail('the end of the stream does not fit what came')
    os.fsync(fd)
    if os.lseek(fd, 0, 2) != size:
        fail('the file changed its size')
    print(json.dumps({'capacity': size, 'frames': frames, 'written': written}, sort_keys=True))
run(main)
"""

_COMPARE = r"""
def main():
    fd, size = disk(os.O_RDONLY)
    block = int(sys.argv[4])
    step, zeros, zero = max(1 << 20, block), bytes(block), bytes(16)
    big, key = bytes(step), take(16)
    different, first, said = 0, [], 0
    for off, end, data in stretches(fd, size, step, 0):
        while off < end:
            n = min(step - off % step, end - off)
            want = take(16 * -(-n // block))
            if off - said >= TELL:
                said = off
                print('at', off, flush=True)
            b = at(fd, off, n) if data else big[:n]
            if want.strip(b'\0') or not big.startswith(b):
                view = memoryview(b)
                for o in range(0, n, block):
                    part, have = view[o:o + block], zero
                    if not b.startswith(zeros[:len(part)], o):
                        have = hashlib.blake2b(part, digest_size=16, key=key).digest()
                    if have != want[o // block * 16:o // block * 16 + 16]:
                        different += 1
                        if len(first) < 16:
                            first.append(off + o)
            off += n
    print(json.dumps({'blocks': -(-size // block), 'different': different, 'first': first}, sort_keys=True))
    sys.stdout.flush()
    if different:
        raise SystemExit(3)
run(main)
"""

_PROGRAMS: dict[Mode, str] = {
    "read": _COMMON + _READ,
    "write": _COMMON + _WRITE,
    "compare": _COMMON + _COMPARE,
}


def program(mode: Mode) -> str:
    """The text of the program for `mode`."""
    return _PROGRAMS[mode].lstrip("\n")


def agent_stdin(mode: Mode) -> bytes:
    """What standard input begins with: the length line and the program. The payload follows."""
    text = program(mode).encode()
    return b"%d\n" % len(text) + text


def resume_payload(offset: int) -> bytes:
    """The payload of read that lets it begin at a byte of the disk, a block border, not at 0."""
    return b"%d\n" % offset


def known_payload(key: bytes, digests: bytes | bytearray, first_block: int) -> Iterator[bytes]:
    """What follows `resume_payload` for read with `changed`, in pieces: the key, then the digests of
    the blocks from `first_block` on, which is the one that the resumed reading begins with."""
    yield key
    view = memoryview(digests)
    for start in range(first_block * DIGEST_BYTES, len(view), 1 << 18):
        yield bytes(view[start : start + (1 << 18)])


def compare_payload(sums: Sums) -> bytes:
    """The payload of compare: the key, then 16 bytes per block. The key is never in a command line."""
    return sums.key + sums.digests
