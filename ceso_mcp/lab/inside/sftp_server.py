"""`/usr/lib/vmware/openssh/bin/sftp-server`: SFTP version 3 on stdin and stdout.

Written from the protocol draft (draft-ietf-secsh-filexfer-02) with OpenSSH's `posix-rename` and `fsync`
extensions, which its clients use. Options such as `-f LOCAL5 -l INFO` are taken and ignored.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable

from .sftp_wire import EXTENDED, Fields, attributes, long_name, string

VERSION = 3
INIT, ANSWER_VERSION = 1, 2
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
WORDS = {
    OK: "Success",
    EOF: "End of file",
    NO_SUCH_FILE: "No such file",
    PERMISSION_DENIED: "Permission denied",
    FAILURE: "Failure",
    BAD_MESSAGE: "Bad message",
    UNSUPPORTED: "Operation unsupported",
}
READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32
ACCESS = {0: os.O_RDONLY, READ: os.O_RDONLY, WRITE: os.O_WRONLY, READ | WRITE: os.O_RDWR}
CODES = {errno.ENOENT: NO_SUCH_FILE, errno.EACCES: PERMISSION_DENIED, errno.EPERM: PERMISSION_DENIED}
LONGEST_READ = 256 << 10
NAMES_AT_ONCE = 100
EXTENSIONS = ((b"posix-rename@openssh.com", b"1"), (b"fsync@openssh.com", b"1"))


class Server:
    """One client's session."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._open: dict[bytes, int | list[bytes]] = {}
        self._folders: dict[bytes, bytes] = {}
        self._next = 0

    def serve(self, kind: int, content: bytes) -> None:
        """Answer one packet."""
        fields = Fields(content)
        if kind == INIT:
            more = b"".join(string(name) + string(value) for name, value in EXTENSIONS)
            self._packet(ANSWER_VERSION, struct.pack(">I", VERSION) + more)
            return
        number = fields.number()
        action = ACTIONS.get(kind)
        if action is None:
            self._status(number, UNSUPPORTED)
            return
        try:
            answer = action(self, fields)
        except EOFError:
            self._status(number, EOF)
        except ValueError:
            self._status(number, BAD_MESSAGE)
        except NotImplementedError:
            self._status(number, UNSUPPORTED)
        except OSError as error:
            codes = {
                errno.ENOENT: NO_SUCH_FILE,
                errno.EACCES: PERMISSION_DENIED,
                errno.EPERM: PERMISSION_DENIED,
            }
            self._status(number, codes.get(error.errno or 0, FAILURE))
        else:
            if answer is None:
                self._status(number, OK)
            else:
                self._packet(answer[0], struct.pack(">I", number) + answer[1])

    def _packet(self, kind: int, content: bytes) -> None:
        self._write(struct.pack(">IB", len(content) + 1, kind) + content)

    def _status(self, number: int, code: int) -> None:
        self._packet(STATUS, struct.pack(">II", number, code) + string(WORDS[code].encode()) + string(b""))

    def _keep(self, thing: int | list[bytes]) -> tuple[int, bytes]:
        self._next += 1
        handle = b"%d" % self._next
        self._open[handle] = thing
        return HANDLE, string(handle)

    def _file(self, handle: bytes) -> int:
        found = self._open.get(handle)
        if not isinstance(found, int):
            raise ValueError("no such handle")
        return found

    # --- files

    def open(self, fields: Fields) -> tuple[int, bytes]:
        path, wanted, given = fields.text(), fields.number(), fields.attributes()
        flags = (
            os.O_RDWR if wanted & READ and wanted & WRITE else os.O_WRONLY if wanted & WRITE else os.O_RDONLY
        )
        for bit, flag in (
            (APPEND, os.O_APPEND),
            (CREATE, os.O_CREAT),
            (TRUNCATE, os.O_TRUNC),
            (EXCLUSIVE, os.O_EXCL),
        ):
            flags |= flag if wanted & bit else 0
        return self._keep(os.open(path, flags, given.get("mode", 0o666) & 0o7777))

    def close(self, fields: Fields) -> None:
        handle = fields.text()
        if handle not in self._open:
            raise ValueError("no such handle")
        found = self._open.pop(handle)
        self._folders.pop(handle, None)
        if isinstance(found, int):
            os.close(found)

    def read(self, fields: Fields) -> tuple[int, bytes]:
        file, offset, length = self._file(fields.text()), fields.number(8), fields.number()
        content = os.pread(file, min(length, LONGEST_READ), offset)
        if not content:
            raise EOFError
        return DATA, string(content)

    def write(self, fields: Fields) -> None:
        file, offset, content = self._file(fields.text()), fields.number(8), fields.text()
        while content:
            done = os.pwrite(file, content, offset)
            content, offset = content[done:], offset + done

    def fstat(self, fields: Fields) -> tuple[int, bytes]:
        return ATTRS, attributes(os.fstat(self._file(fields.text())))

    def fsetstat(self, fields: Fields) -> None:
        self._set(self._file(fields.text()), fields.attributes())

    # --- names

    def stat(self, fields: Fields) -> tuple[int, bytes]:
        return ATTRS, attributes(os.stat(fields.text()))

    def lstat(self, fields: Fields) -> tuple[int, bytes]:
        return ATTRS, attributes(os.lstat(fields.text()))

    def setstat(self, fields: Fields) -> None:
        path = fields.text()
        self._set(path, fields.attributes())

    @staticmethod
    def _set(target: bytes | int, given: dict[str, int]) -> None:
        if "size" in given:
            os.truncate(target, given["size"])
        if "mode" in given:
            os.chmod(target, given["mode"] & 0o7777)
        if "mtime" in given:
            os.utime(target, (given["atime"], given["mtime"]))
        if "uid" in given:
            os.chown(target, given["uid"], given["gid"])

    def remove(self, fields: Fields) -> None:
        os.unlink(fields.text())

    def mkdir(self, fields: Fields) -> None:
        path = fields.text()
        os.mkdir(path, fields.attributes().get("mode", 0o777) & 0o7777)

    def rmdir(self, fields: Fields) -> None:
        os.rmdir(fields.text())

    def realpath(self, fields: Fields) -> tuple[int, bytes]:
        path = os.path.realpath(fields.text() or b".")
        return NAME, struct.pack(">I", 1) + string(path) + string(path) + struct.pack(">I", 0)

    def readlink(self, fields: Fields) -> tuple[int, bytes]:
        target = os.readlink(fields.text())
        return NAME, struct.pack(">I", 1) + string(target) + string(target) + struct.pack(">I", 0)

    def symlink(self, fields: Fields) -> None:
        # OpenSSH has the target first, against the draft, and clients rely on it.
        target, place = fields.text(), fields.text()
        os.symlink(target, place)

    def rename(self, fields: Fields) -> None:
        old, new = fields.text(), fields.text()
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, "the new name exists")
        os.rename(old, new)

    def extended(self, fields: Fields) -> None:
        name = fields.text()
        if name == b"posix-rename@openssh.com":
            old, new = fields.text(), fields.text()
            os.rename(old, new)
        elif name == b"fsync@openssh.com":
            os.fsync(self._file(fields.text()))
        else:
            raise NotImplementedError

    # --- folders

    def opendir(self, fields: Fields) -> tuple[int, bytes]:
        path = fields.text()
        kept = self._keep([b".", b"..", *sorted(os.listdir(path))])
        self._folders[b"%d" % self._next] = path
        return kept

    def readdir(self, fields: Fields) -> tuple[int, bytes]:
        handle = fields.text()
        names = self._open.get(handle)
        if not isinstance(names, list):
            raise ValueError("no such handle")
        if not names:
            raise EOFError
        rows = []
        for name in names[:NAMES_AT_ONCE]:
            try:
                facts = os.lstat(os.path.join(self._folders[handle], name))
            except FileNotFoundError:
                continue
            rows.append(string(name) + string(long_name(name, facts)) + attributes(facts))
        del names[:NAMES_AT_ONCE]
        return NAME, struct.pack(">I", len(rows)) + b"".join(rows)


ACTIONS: dict[int, Callable[[Server, Fields], tuple[int, bytes] | None]] = {
    3: Server.open,
    4: Server.close,
    5: Server.read,
    6: Server.write,
    7: Server.lstat,
    8: Server.fstat,
    9: Server.setstat,
    10: Server.fsetstat,
    11: Server.opendir,
    12: Server.readdir,
    13: Server.remove,
    14: Server.mkdir,
    15: Server.rmdir,
    16: Server.realpath,
    17: Server.stat,
    18: Server.rename,
    19: Server.readlink,
    20: Server.symlink,
    EXTENDED: Server.extended,
}


def main() -> None:
    """Serve until the client closes its side."""
    source, target = sys.stdin.buffer, sys.stdout.buffer

    def write(content: bytes) -> None:
        target.write(content)
        target.flush()

    server = Server(write)
    while len(head := source.read(5)) == 5:
        length, kind = struct.unpack(">IB", head)
        content = source.read(length - 1)
        if length < 1 or len(content) < length - 1:
            break
        server.serve(kind, content)
