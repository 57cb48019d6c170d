"""The `vmkfstools` program. It copies in its own process, so that it can be killed and can fail halfway."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from . import operations
from .chain import links
from .descriptor import load
from .fault import DiskFault
from .wire import Line

FAILED = 255
FORMATS = {"thin": "thin-provisioned", "zeroedthick": "zeroedthick", "eagerzeroedthick": "eagerzeroedthick"}
LONG = {
    "--createvirtualdisk": "-c",
    "--clonevirtualdisk": "-i",
    "--deletevirtualdisk": "-U",
    "--renamevirtualdisk": "-E",
    "--extendvirtualdisk": "-X",
    "--punchzero": "-K",
    "--inflatedisk": "-j",
    "--eagerzero": "-k",
    "--queryrdm": "-q",
    "--geometry": "-g",
    "--fix": "-x",
    "--chainConsistent": "-e",
    "--queryfs": "-P",
    "--humanreadable": "-h",
    "--diskformat": "-d",
    "--adaptertype": "-a",
    "--avoidnativeclone": "-N",
    "--verbose": "-v",
}
WITH_VALUE = ("-c", "-i", "-E", "-X", "-x", "-d", "-a", "-v")
OPERATIONS = ("-c", "-i", "-U", "-E", "-X", "-K", "-j", "-k", "-q", "-g", "-x", "-e", "-P", "-D")


def _end(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _parse(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    paths: list[str] = []
    at = 0
    while at < len(arguments):
        word = LONG.get(arguments[at].partition("=")[0], arguments[at])
        if not word.startswith("-") or word == "-":
            paths.append(word)
        elif word in WITH_VALUE or word[:2] in WITH_VALUE:
            attached = word[2:] if not arguments[at].startswith("--") else arguments[at].partition("=")[2]
            if attached:
                options[word[:2]] = attached
            elif at + 1 < len(arguments):
                at += 1
                options[word] = arguments[at]
            else:
                _usage()
        else:
            for letter in word[1:]:
                options[f"-{letter}"] = ""
        at += 1
    return options, paths


def _usage() -> NoReturn:
    _say("OPTIONS FOR FILE SYSTEMS:\n\nOPTIONS FOR VIRTUAL DISKS:\n")
    _end(FAILED)


def size_bytes(text: str) -> int | None:
    """A number with an optional k, m, g or t (any case); no suffix means bytes (fact sheet §1.1)."""
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}.get(text[-1:].lower())
    digits = text if factor is None else text[:-1]
    if not digits.isdigit():
        return None
    return int(digits) * (factor or 1)


class Job:
    """One call: its link to hostd, which knows locks, free space and what is to go wrong."""

    def __init__(self, arguments: list[str]) -> None:
        self.line: Line | None
        try:
            self.line = Line()
            reply = self.line.ask(
                "disk", os.environ.get("LAB_EXEC", "0"), os.getcwd(), "vmkfstools", *arguments
            )
            self.kill_at = int(reply or "-1")
        except OSError:
            self.line, self.kill_at = None, -1
        self.shown = -1

    def lock(self, mode: str, path: str) -> None:
        if self.line is not None and self.line.ask("lock", mode, os.path.realpath(path)) != "ok":
            raise DiskFault(16392)

    def room(self, path: str) -> operations.Room:
        folder = os.path.realpath(os.path.dirname(path) or ".")

        def ask() -> int:
            return operations.plenty() if self.line is None else int(self.line.ask("room", folder))

        return ask

    def progress(self, word: str) -> operations.Progress:
        def show(percent: int) -> None:
            if percent == self.shown:
                return
            self.shown = percent
            _say(f"\r{word}: {percent}% done.")
            if self.line is not None:
                self.line.ask("progress", str(percent))
            if 0 <= self.kill_at <= percent:
                os.kill(os.getpid(), signal.SIGKILL)

        return show

    def done(self, changed: bool, status: int) -> NoReturn:
        if self.line is not None:
            self.line.ask("done", "1" if changed else "0", str(status))
        _end(status)


def _clone(job: Job, options: dict[str, str], target: str) -> None:
    source, kind = options["-i"], options.get("-d", "zeroedthick")
    try:
        for link in links(source):
            job.lock("read", link.extent)
    except DiskFault as fault:
        if fault.number == 16392:
            _say(f"Failed to open '{source}': {fault.text} ({fault.number}).\n")
        elif fault.number in (15, 25):
            _say(f"DiskLib_Check() failed for source disk {fault.text} ({fault.number}).\n")
        else:
            _say(f"Failed to open '{source}': {fault.text} ({fault.number}).\n")
        job.done(False, FAILED)
    _say(f"Destination disk format: VMFS {FORMATS[kind]}\n")
    _say(f"Cloning disk '{source}'...\n")
    changed = not os.path.lexists(target)
    try:
        operations.clone(source, target, kind, job.room(target), job.progress("Clone"))
    except DiskFault as fault:
        _say(f"Failed to clone disk: {fault.text} ({fault.number}).\n")
        job.done(changed, FAILED)
    _say("\n")


def _create(job: Job, options: dict[str, str], path: str) -> None:
    size, kind = size_bytes(options["-c"]), options.get("-d", "zeroedthick")
    if size is None or size <= 0:
        _usage()
    if kind == "eagerzeroedthick":
        _say(f"Creating disk '{path}' and zeroing it out...\n")
    try:
        operations.create(path, size, kind, job.room(path), job.progress("Create"))
    except DiskFault as fault:
        _say(f"Failed to create virtual disk: {fault.text} ({fault.number}).\n")
        job.done(fault.number != 39, FAILED)
    _say("\n")


def _check(path: str, options: dict[str, str]) -> None:
    chain = links(path)
    if "-e" in options:
        _say("Disk chain is consistent.\n")
    elif "-x" in options:
        _say("Disk is error free\n")
    elif "-q" in options:
        _say(f"{path} is not an rdm\n")
    else:
        ddb = chain[-1].descriptor.ddb
        shape = "/".join(ddb.get(f"geometry.{part}", "0") for part in ("cylinders", "heads", "sectors"))
        _say(f"Geometry information C/H/S is {shape}\n")


def _change(job: Job, options: dict[str, str], path: str) -> None:
    if "-U" in options:
        described = load(path)
        job.lock("write", os.path.join(os.path.dirname(path), described.extent_name))
        operations.delete(path)
        return
    if "-E" in options:
        described = load(options["-E"])
        job.lock("write", os.path.join(os.path.dirname(options["-E"]), described.extent_name))
        operations.rename(options["-E"], path)
        return
    chain = links(path)
    job.lock("write", chain[0].extent)
    if "-X" in options:
        size = size_bytes(options["-X"])
        if size is None:
            _usage()
        operations.grow(path, size, job.room(path), options.get("-d", ""))
        job.progress("Grow")(100)
        _say("\n")
        return
    _say("vmfsDisk: 1, rdmDisk: 0, blockSize: 1048576\n")
    operations.punch(path)
    job.progress("Hole Punching")(100)
    _say("\n")


PREFIXES = {"-X": "Failed to extend disk", "-U": "Failed to delete virtual disk", "-E": "Failed to rename"}


def main(arguments: list[str]) -> None:
    options, paths = _parse(arguments)
    chosen = [name for name in OPERATIONS if name in options]
    if len(chosen) != 1 or len(paths) != 1:
        _usage()
    job = Job(arguments)
    kind = options.get("-d", "zeroedthick")
    if kind not in FORMATS:
        _say(f'Incorrect disk option "{kind}"\n')
        job.done(False, FAILED)
    if "-a" in options:
        _say("Option --adaptertype is deprecated and hence will be ignored\n")
    path = paths[0]
    if chosen[0] in ("-P", "-D"):
        assert job.line is not None
        _say(job.line.ask("query", chosen[0], os.path.realpath(path), "h" if "-h" in options else ""))
        job.done(False, 0)
    try:
        if "-i" in options:
            _clone(job, options, path)
        elif "-c" in options:
            _create(job, options, path)
        elif chosen[0] in ("-e", "-x", "-q", "-g"):
            _check(path, options)
            job.done(False, 0)
        elif chosen[0] in ("-j", "-k"):
            _say("Function not implemented (2490377).\n")
            job.done(False, FAILED)
        else:
            _change(job, options, path)
    except DiskFault as fault:
        prefix = PREFIXES.get(chosen[0], f"Failed to open '{path}'")
        _say(f"{prefix}: {fault.text} ({fault.number}).\n")
        job.done(False, FAILED)
    job.done(True, 0)
