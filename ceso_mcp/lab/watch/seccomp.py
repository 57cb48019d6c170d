"""seccomp filters that hand some system calls of a process and its children to another process.

Linux 5.5 or later, x86_64 or aarch64, no privileges. Numbers and structures from the kernel's
`seccomp.h`, `filter.h` and its tables of system calls.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import struct
from dataclasses import dataclass

OPENS = ("open", "openat", "openat2", "creat")
EXECS = ("execve",)
WRITES = (
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "sendfile",
    "copy_file_range",
    "fallocate",
)
X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
NUMBERS: dict[int, dict[str, int]] = {
    X86_64: {
        "open": 2,
        "openat": 257,
        "openat2": 437,
        "creat": 85,
        "execve": 59,
        "write": 1,
        "pwrite64": 18,
        "writev": 20,
        "pwritev": 296,
        "pwritev2": 328,
        "sendfile": 40,
        "copy_file_range": 326,
        "fallocate": 285,
    },
    # Programs of 32 bits may run on a kernel of 64; their writes are few and go uncounted.
    I386: {"open": 5, "openat": 295, "openat2": 437, "creat": 8, "execve": 11},
    AARCH64: {
        "openat": 56,
        "openat2": 437,
        "execve": 221,
        "write": 64,
        "pwrite64": 68,
        "writev": 66,
        "pwritev": 70,
        "pwritev2": 287,
        "sendfile": 71,
        "copy_file_range": 285,
        "fallocate": 47,
    },
}
MACHINES = {"x86_64": (X86_64, I386), "aarch64": (AARCH64,)}
SECCOMP = {"x86_64": 317, "aarch64": 277}
OPENAT2 = 437
NAMES = {arch: {number: name for name, number in table.items()} for arch, table in NUMBERS.items()}

_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 8, 32
_LOAD, _EQUAL, _ANY_OF, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
# Folders, and handles that read nothing, are nobody's business. O_DIRECTORY differs on aarch64.
_O_PATH = 0o10000000
_FLAGS_OF = {"open": 1, "openat": 2}

_RECEIVE, _SEND, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104
_SYNC_WAKE_UP = 1
_CALL = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_CONTINUE = 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


_libc = ctypes.CDLL(None, use_errno=True)


def program(names: tuple[str, ...], machine: str = "") -> bytes:
    """The filter, in BPF, that hands the calls `names` over and lets all others pass."""
    lines: list[tuple[int, int, int, int]] = []
    for arch in MACHINES[machine or platform.machine()]:
        lines += _for_arch(arch, [name for name in names if name in NUMBERS[arch]])
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _for_arch(arch: int, names: list[str]) -> list[tuple[int, int, int, int]]:
    aside = _O_PATH | (0o40000 if arch == AARCH64 else 0o200000)
    body: list[tuple[int, int, int, int]] = [(_LOAD, 0, 0, _NUMBER_AT)]
    for name in names:
        place = _ARGUMENTS_AT + 8 * _FLAGS_OF[name] if name in _FLAGS_OF else None
        if place is None:
            body += [(_EQUAL, 0, 1, NUMBERS[arch][name]), (_RETURN, 0, 0, _NOTIFY)]
            continue
        body += [
            (_EQUAL, 0, 4, NUMBERS[arch][name]),
            (_LOAD, 0, 0, place),
            (_ANY_OF, 0, 1, aside),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _NOTIFY),
        ]
    body.append((_RETURN, 0, 0, _ALLOW))
    return [(_LOAD, 0, 0, _ARCH_AT), (_EQUAL, 0, len(body), arch), *body]


def install(code: bytes) -> int:
    """Put this thread and its children to come under a filter; returns the descriptor that hears its calls.

    There is no way back. Raises OSError when the kernel refuses.
    """
    if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    content = ctypes.create_string_buffer(code, len(code))
    given = _Program(len(code) // 8, ctypes.cast(content, ctypes.c_void_p))
    number = SECCOMP[platform.machine()]
    # A stray signal must not make a call come twice; kernels before 5.19 do not know how to wait so.
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):
        listener = int(_libc.syscall(number, _SET_MODE_FILTER, flags, ctypes.byref(given)))
        if listener >= 0:
            return listener
        if ctypes.get_errno() != errno.EINVAL:
            break
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def why_not() -> str | None:
    """Why filters cannot be used on this machine; None when they can. Forks once."""
    if platform.machine() not in MACHINES:
        return f"the lab has no table of the system calls of {platform.machine()}"
    child = os.fork()
    if child == 0:
        try:
            install(program(OPENS))
            os._exit(0)
        except OSError as error:
            os._exit(min(error.errno or 255, 255))
        finally:
            os._exit(255)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return None if status == 0 else f"the kernel refuses seccomp listeners ({os.strerror(status)})"


@dataclass(frozen=True, slots=True)
class Notice:
    """One call that waits for an answer; `pid` is the calling thread as this process sees it."""

    id: int
    pid: int
    name: str
    arguments: tuple[int, ...]


def prepare(listener: int) -> None:
    """Ask for quick wake-ups; older kernels do without."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, _SET_FLAGS, _SYNC_WAKE_UP)


def receive(listener: int) -> Notice | None:
    """The next call, or None when it went away meanwhile. Raises OSError when nobody is left."""
    buffer = bytearray(_CALL.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    number, pid, _, call, arch, _, *arguments = _CALL.unpack(buffer)
    return Notice(number, pid, NAMES.get(arch, {}).get(call, ""), tuple(arguments))


def answer(listener: int, notice: Notice, outcome: int | None) -> None:
    """Let the call go on (None), fail with an error number (below 0), or have done so many bytes."""
    if outcome is None:
        content = _ANSWER.pack(notice.id, 0, 0, _CONTINUE)
    elif outcome < 0:
        content = _ANSWER.pack(notice.id, 0, outcome, 0)
    else:
        content = _ANSWER.pack(notice.id, outcome, 0, 0)
    with contextlib.suppress(OSError):  # the caller was killed
        fcntl.ioctl(listener, _SEND, content)


def open_within(root: int, path: bytes) -> int:
    """A handle on `path` with the folder `root` as `/`, links included. Raises OSError."""
    how = struct.pack("=QQQ", _O_PATH | os.O_CLOEXEC, 0, 0x10)
    handle = int(_libc.syscall(OPENAT2, root, ctypes.c_char_p(path), ctypes.c_char_p(how), len(how)))
    if handle < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return handle


def borrowed(pid: int, descriptor: int) -> int:
    """Another process's open file as one's own, with the same position. Raises OSError."""
    process = os.pidfd_open(pid)
    try:
        handle = int(_libc.syscall(438, process, descriptor, 0))
    finally:
        os.close(process)
    if handle < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return handle
