"""The `vmkfstools` program. It copies in its own process, so that it can be killed and can fail halfway."""

from __future__ import annotations

import os
import sys

from . import growth, mapping, narrate, operations, rdm
from .call import Call, Ended
from .chain import Disk, extents, links
from .descriptor import load
from .fault import DiskFault
from .options import OPERATIONS, USAGE, BadUsage, parse, size_bytes
from .wire import Line

FORMATS = {"thin": "thin-provisioned", "zeroedthick": "zeroedthick", "eagerzeroedthick": "eagerzeroedthick"}
PREFIXES = {
    "-X": "Failed to extend disk",
    "-U": "Failed to delete virtual disk",
    "-E": "Failed to rename",
    "-r": "Failed to create virtual disk",
    "-z": "Failed to create virtual disk",
}


def clone(call: Call, options: dict[str, str], target: str) -> None:
    """`-i`: the lines, then the copy with its progress; a failure is glued to the last of it (§1.2)."""
    source, kind = options["-i"], options.get("-d", "zeroedthick")
    narrator = narrate.Narrator(call.say, source, call.host)
    try:
        call.slot()
        chain = links(call.path(source), call.place)
        for link in chain:
            for extent in extents(link):
                call.lock("read", extent)
    except DiskFault as fault:
        if fault.number in (15, 25):
            call.say(f"DiskLib_Check() failed for source disk {fault.text} ({fault.number}).\n")
            raise Ended(False, 255) from None
        call.fail(f"Failed to open '{source}'", fault)
    if "-v" in options:
        narrator.source(chain)
    device = kind.partition(":")[2]
    shown = f"raw disk mapping to '{device}'" if device else f"VMFS {FORMATS.get(kind, kind)}"
    call.say(f"Destination disk format: {shown}\nCloning disk '{source}'...\n")
    if "-v" in options:
        narrator.destination(target, chain[0].descriptor.size_bytes)
    place = call.path(target)
    changed = not os.path.lexists(place)
    try:
        if kind == "2gbsparse":
            raise DiskFault(24)
        if device:
            raise DiskFault(25)
        laid = "thin" if kind == "zeroedthick" and call.store(place).startswith("NFS") else kind
        progress = call.progress("Clone")
        if changed:
            call.lock("write", place.removesuffix(".vmdk") + "-flat.vmdk")
        operations.clone(call.path(source), place, kind, call.room(place), progress, call.place, laid)
    except DiskFault as fault:
        call.fail("Failed to clone disk", fault, changed=changed)
    call.say("\n")


def create(call: Call, options: dict[str, str], path: str) -> None:
    """`-c` (vmkfstools-c-eagerzeroed-1)."""
    size, kind = size_bytes(options["-c"]), options.get("-d", "zeroedthick")
    if not size:
        raise BadUsage(options["-c"])
    if kind == "eagerzeroedthick":
        call.say(f"Creating disk '{path}' and zeroing it out...\n")
    place = call.path(path)
    laid = "thin" if kind == "zeroedthick" and call.store(place).startswith("NFS") else kind
    try:
        operations.create(place, size, kind, call.room(place), call.progress("Create"), laid)
    except DiskFault as fault:
        call.fail("Failed to create virtual disk", fault, changed=fault.number != 39)
    call.say("\n")


def check(call: Call, options: dict[str, str], path: str) -> None:
    """`-e`, `-x`, `-q` and `-g`: nothing is changed, the chain is opened."""
    loud = options.get("-v", "").isdigit() and int(options["-v"]) >= narrate.LOUD
    narrator = narrate.Narrator(call.say, path, call.host)
    place = call.path(path)
    try:
        chain = links(place, call.place, narrator.hear) if loud else links(place, call.place)
        if "-q" not in options and "-g" not in options:
            for link in chain:
                call.lock("read", link.extent)
            Disk(place, call.place).close()
    except DiskFault as fault:
        if loud:
            narrator.fail(fault)
        call.fail(f"Failed to open '{path}'", fault)
    bottom = chain[-1]
    if "-e" in options:
        call.say(f"Disk chain is consistent{'' if call.old else '.'}\n")
    elif "-x" in options:
        if options["-x"] not in ("check", "repair"):
            raise BadUsage("-x")
        repaired = "No errors were found on the disk"
        call.say(f"{'Disk is error free' if options['-x'] == 'check' else repaired}\n")
    elif "-q" in options and bottom.descriptor.create_type in rdm.KINDS:
        call.say(rdm.told(path, bottom.descriptor.create_type, bottom.extent))
    elif "-q" in options:
        call.say(f"{path} is not an rdm\n")
    else:
        ddb = bottom.descriptor.ddb
        shape = "/".join(ddb.get(f"geometry.{part}", "0") for part in ("cylinders", "heads", "sectors"))
        call.say(f"Geometry information C/H/S is {shape}\n")
    if loud:
        narrator.close()


def change(call: Call, options: dict[str, str], path: str) -> None:
    """`-U`, `-E`, `-X`, `-K`, `-j`, `-k` and `-w`."""
    place = call.path(path)
    if "-U" in options or "-E" in options:
        old = call.path(options["-E"]) if "-E" in options else place
        call.lock("write", os.path.join(os.path.dirname(old), load(old).extent_name))
        if "-E" in options:
            operations.rename(old, place)
        else:
            operations.delete(place)
        return
    chain = links(place, call.place)
    call.lock("write", chain[0].extent)
    if "-X" in options:
        size = size_bytes(options["-X"])
        if size is None:
            raise BadUsage(options["-X"])
        growth.grow(place, size, call.room(place), options.get("-d", ""))
        call.progress("Grow")(100)
    elif "-K" in options:
        flat = chain[0].descriptor.create_type == "vmfs"
        mapped = chain[0].descriptor.create_type in rdm.KINDS
        call.say(f"vmfsDisk: {int(flat)}, rdmDisk: {int(mapped)}, blockSize: 1048576\n")
        growth.punch(place)
        call.progress("Hole Punching")(100)
    elif "-w" in options:
        growth.write_zeros(place, call.room(place), call.progress("Clone"))
    else:
        word = "Inflate" if "-j" in options else "Eager zero"
        growth.inflate(place, call.room(place), call.progress(word))
    call.say("\n")


def run(call: Call, arguments: list[str]) -> None:
    """Carry one call out. Raises `Ended` when it is over, and always so."""
    try:
        options, paths = parse(arguments)
        if "-H" in options:
            call.say(USAGE)
            raise Ended(False, 0)
        chosen = [name for name in OPERATIONS if name in options]
        if len(chosen) != 1 or len(paths) != 1:
            raise BadUsage(" ".join(arguments))
        _run(call, options, chosen[0], paths[0])
    except BadUsage:
        call.say(USAGE)
        raise Ended(False, 255) from None
    raise Ended(True, 0)


def _run(call: Call, options: dict[str, str], chosen: str, path: str) -> None:
    kind = options.get("-d", "zeroedthick")
    cloned = ("2gbsparse",) if chosen == "-i" else ()
    mapped = chosen == "-i" and kind.startswith(("rdm:", "rdmp:"))
    if kind not in (*FORMATS, *cloned) and not mapped:
        call.say(f'Incorrect disk option "{kind}"\n')
        raise Ended(False, 255)
    if "-a" in options:
        call.say("Option --adaptertype is deprecated and hence will be ignored\n")
    if chosen in ("-P", "-D"):
        human = "h" if "-h" in options else ""
        told = call.query(chosen, path, human + ("v" if "-v" in options else ""))
        call.say(told)
        if "-v" in options and not call.old:
            call.say(narrate.TRAILER)
        raise Ended(False, 255 if told.startswith("Could not open") else 0)
    try:
        if chosen == "-i":
            clone(call, options, path)
        elif chosen == "-c":
            create(call, options, path)
        elif chosen in ("-e", "-x", "-q", "-g"):
            check(call, options, path)
            raise Ended(False, 0)
        elif chosen in ("-t", "-p"):
            if chosen == "-p" or options["-t"] != "0" or not call.flag("mapping"):
                raise BadUsage(chosen)
            chain = links(call.path(path), call.place)
            call.lock("read", chain[0].extent)
            call.say(mapping.told(call.host(chain[0].extent), chain[0].extent))
            raise Ended(False, 0)
        elif chosen in ("-r", "-z"):
            raise DiskFault(25)  # the lab has no devices to map
        else:
            change(call, options, path)
    except DiskFault as fault:
        prefix = PREFIXES.get(chosen, f"Failed to open '{path}'")
        call.fail(prefix, fault)
    if "-v" in options and not call.old:
        call.say(narrate.TRAILER)


def main(arguments: list[str]) -> None:
    """The program inside the make-believe host."""

    def say(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    line: Line | None
    try:
        line = Line()
        exec_id = os.environ.get("LAB_EXEC", "0")
        kill_at = int(line.ask("disk", exec_id, os.getcwd(), "vmkfstools", *arguments) or "-1")
    except OSError:
        line, kill_at = None, -1
    call = Call(say, line.ask if line is not None else None, os.getcwd(), kill_at)
    try:
        run(call, arguments)
    except Ended as end:
        if line is not None:
            line.ask("done", "1" if end.changed else "0", str(end.status))
        sys.stdout.flush()
        os._exit(end.status)
