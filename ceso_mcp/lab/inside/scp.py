"""`scp` as the far end of `scp -O`: the old copy protocol, `-t` to take files and `-f` to give them."""

from __future__ import annotations

import os
import stat
import sys

CHUNK = 256 << 10


class Broken(Exception):
    """The other side went away or said something that is no part of the protocol."""


class Copier:
    """One run: `errors` counts what was reported to the other side."""

    def __init__(self, *, recursive: bool, times: bool) -> None:
        self._in = sys.stdin.buffer
        self._out = sys.stdout.buffer
        self._recursive = recursive
        self._times = times
        self.errors = 0

    def _say(self, content: bytes) -> None:
        self._out.write(content)
        self._out.flush()

    def _complain(self, text: str) -> None:
        self.errors += 1
        self._say(b"\x01scp: " + os.fsencode(text) + b"\n")

    def _answer(self) -> bool:
        """True when the other side goes along; a warning of it skips the file at hand."""
        code = self._in.read(1)
        if code == b"\0":
            return True
        text = self._in.readline()
        if code == b"\x01":
            self.errors += 1
            return False
        raise Broken(os.fsdecode(text).strip() or "lost connection")

    # --- giving

    def give(self, paths: list[str]) -> None:
        if not self._answer():
            return
        for path in paths:
            self._give(path)

    def _give(self, path: str) -> None:
        try:
            facts = os.stat(path)
            if stat.S_ISDIR(facts.st_mode):
                if not self._recursive:
                    self._complain(f"{path}: not a regular file")
                    return
                self._give_folder(path, facts)
                return
            with open(path, "rb") as file:
                self._give_file(path, facts, file.fileno())
        except OSError as error:
            self._complain(f"{path}: {error.strerror}")

    def _head(self, line: str, facts: os.stat_result) -> bool:
        if self._times:
            self._say(f"T{int(facts.st_mtime)} 0 {int(facts.st_atime)} 0\n".encode())
            if not self._answer():
                return False
        self._say(os.fsencode(line))
        return self._answer()

    def _give_file(self, path: str, facts: os.stat_result, file: int) -> None:
        name = os.path.basename(path.rstrip("/"))
        if not self._head(f"C{facts.st_mode & 0o7777:04o} {facts.st_size} {name}\n", facts):
            return
        left, trouble = facts.st_size, ""
        while left:
            content = b""
            if not trouble:
                try:
                    content = os.read(file, min(CHUNK, left))
                except OSError as error:
                    trouble = error.strerror or "read error"
                if not content:
                    trouble = trouble or "file changed size"
            self._out.write(content or bytes(min(CHUNK, left)))
            left -= len(content) or min(CHUNK, left)
        if trouble:
            self._complain(f"{path}: {trouble}")
        else:
            self._say(b"\0")
        self._answer()

    def _give_folder(self, path: str, facts: os.stat_result) -> None:
        name = os.path.basename(os.path.abspath(path))
        if not self._head(f"D{facts.st_mode & 0o7777:04o} 0 {name}\n", facts):
            return
        for inner in sorted(os.listdir(path)):
            self._give(os.path.join(path, inner))
        self._say(b"E\n")
        self._answer()

    # --- taking

    def take(self, target: str, *, into_folder: bool) -> None:
        self._say(b"\0")
        if into_folder and not os.path.isdir(target):
            self._complain(f"{target}: Not a directory")
            return
        self._take(target)

    def _take(self, target: str) -> None:
        times: tuple[int, int] | None = None
        while line := self._in.readline():
            kind, rest = line[:1], os.fsdecode(line[1:].rstrip(b"\n"))
            if kind == b"E":
                self._say(b"\0")
                return
            if kind == b"T":
                words = rest.split()
                times = (int(words[2]), int(words[0]))
                self._say(b"\0")
                continue
            if kind not in (b"C", b"D"):
                raise Broken(os.fsdecode(line).strip())
            mode, size, name = rest.split(" ", 2)
            if name in ("", ".", "..") or "/" in name:
                raise Broken(f"unexpected filename: {name}")
            path = os.path.join(target, name) if os.path.isdir(target) else target
            if kind == b"D":
                self._take_folder(path, int(mode, 8), times)
            else:
                self._take_file(path, int(mode, 8), int(size), times)
            times = None

    def _take_folder(self, path: str, mode: int, times: tuple[int, int] | None) -> None:
        try:
            if not os.path.isdir(path):
                os.mkdir(path, mode)
        except OSError as error:
            self._complain(f"{path}: {error.strerror}")
            return
        self._say(b"\0")
        self._take(path)
        if times is not None:
            os.utime(path, times)

    def _take_file(self, path: str, mode: int, size: int, times: tuple[int, int] | None) -> None:
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT, mode)
        except OSError as error:
            self._complain(f"{path}: {error.strerror}")
            return
        self._say(b"\0")
        trouble = ""
        left = size
        while left:
            content = self._in.read(min(CHUNK, left))
            if not content:
                raise Broken("lost connection")
            left -= len(content)
            while content and not trouble:
                try:
                    content = content[os.write(file, content) :]
                except OSError as error:
                    trouble = error.strerror or "write error"
        if not trouble:
            os.ftruncate(file, size)
            if self._times or times is not None:
                os.fchmod(file, mode)
        os.close(file)
        if times is not None:
            os.utime(path, times)
        self._answer()
        if trouble:
            self._complain(f"{path}: {trouble}")
        else:
            self._say(b"\0")


def main(arguments: list[str]) -> int:
    """The exit status. Only the two far ends exist: copying from the host with `scp a b` does not."""
    letters, paths = "", []
    for at, word in enumerate(arguments):
        if word == "--":
            paths += arguments[at + 1 :]
            break
        if word.startswith("-") and len(word) > 1:
            letters += word[1:]
        else:
            paths.append(word)
    if ("t" in letters) == ("f" in letters) or not paths:
        sys.stderr.write("usage: scp [-dfprtv] [[user@]host1:]file1 ... [[user@]host2:]file2\n")
        return 1
    copier = Copier(recursive="r" in letters, times="p" in letters)
    try:
        if "f" in letters:
            copier.give(paths)
        else:
            copier.take(paths[0], into_folder="d" in letters)
    except Broken as trouble:
        sys.stderr.write(f"scp: {trouble}\n")
        return 1
    except BrokenPipeError:
        return 1
    return 1 if copier.errors else 0
