"""A busybox that has the applets of ESXi and no others.

Debian's build runs any built-in applet from inside ash without looking at PATH, so leaving a name
out of `/bin` does not hide it. The names of the unwanted applets are therefore replaced, in a copy
of the program, by names nobody types; the table stays sorted, as its reader needs.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ceso_mcp.errors import LabFault

# Fact sheet esxcli-and-shell §3.1. `df`, `ps`, `uname` and `uptime` are absent: ESXi's own are
# programs of their own, in `programs.py`; so are `nohup` and `cksum`, which Debian's build lacks.
_APPLET_NAMES = """
    [ [[ ash awk basename bunzip2 busybox bzcat cat chgrp chmod chown clear cp cut date dd diff
    dirname dmesg du echo egrep env expr false fgrep find grep groups gunzip gzip head hexdump
    hostname id kill ln logger ls lzop md5sum mkdir mkfifo mknod mktemp more mv nc nslookup od
    passwd pidof printf pwd readlink realpath reset rm rmdir sed seq setsid sh sha1sum sha256sum
    sha512sum sleep sort stat stty sync tail tar tee test time timeout touch true tty uniq unlzop
    unzip usleep vi watch wc wget which who whoami xargs yes zcat
"""
APPLETS = frozenset(_APPLET_NAMES.split())
# What ash itself looks up as a builtin is not an applet; ESXi's ash lacks `command` (§3.1).
BUILTIN = b"\x002command\0"
HIDDEN_BUILTIN = b"\x002commanc\0"
# Debian's build shows characters above U+02FF as `?`. Its three comparisons with that limit
# (`cmp $0x2ff, register`), found by their bytes, and the limit that lets all of Unicode through.
CHARACTER_LIMIT = re.compile(rb"(\x81[\xf8-\xff])\xff\x02\0\0")
ALL_CHARACTERS = (0x10FFFF).to_bytes(4, "little")
CHARACTER_LIMITS = 3


def _hidden(before: bytes, length: int) -> bytes:
    """The smallest name of `length` bytes that sorts after `before`."""
    if length > len(before):
        return before + b"\x01" * (length - len(before))
    start = before[:length]
    return start[:-1] + bytes([start[-1] + 1])


def hidden_table(names: list[bytes]) -> list[bytes]:
    """The applet table with the applets that ESXi lacks renamed: same lengths, and sorted.

    A short name between two close neighbours (`w` after `vi`) has no other place in the order; it gets
    the smallest name there is. The reader stops only at a name that is too great, so it passes over a
    small one; only where it starts in the middle of the table must the order hold, and `fit_out` looks
    whether every wanted applet is still found.
    """
    table: list[bytes] = []
    last = b""
    for name in names:
        if name.decode() in APPLETS or not last:
            last = name
            table.append(name)
            continue
        hidden = _hidden(last, len(name))
        if hidden == name:
            table.append(b"\x01" * len(name))
        else:
            last = hidden
            table.append(hidden)
    return table


def fit_out(source: Path, target: Path) -> list[str]:
    """Write the fitted busybox to `target` and return the applets it offers.

    Raises `LabFault` when the program's table is not where the method expects it.
    """
    listing = subprocess.run([source, "--list"], capture_output=True, check=True, timeout=10).stdout
    names = listing.split()
    program = source.read_bytes()
    table = b"\0".join(names) + b"\0"
    if program.count(table) != 1:
        raise LabFault(
            "the applet table of this busybox was not found",
            hint="install the Debian or Ubuntu package busybox-static",
        )
    program = program.replace(table, b"\0".join(hidden_table(names)) + b"\0")
    if program.count(BUILTIN) == 1:
        program = program.replace(BUILTIN, HIDDEN_BUILTIN)
    if len(CHARACTER_LIMIT.findall(program)) == CHARACTER_LIMITS:
        program = CHARACTER_LIMIT.sub(lambda found: found[1] + ALL_CHARACTERS, program)
    temporary = target.with_suffix(".new")
    temporary.write_bytes(program)
    temporary.chmod(0o755)
    offered = [name.decode() for name in names if name.decode() in APPLETS]
    found = subprocess.run(
        [temporary, "sh", "-c", "type " + " ".join(f"'{name}'" for name in offered)],
        capture_output=True,
        timeout=10,
        env={"PATH": "/nowhere"},
    )
    if found.returncode != 0:
        raise LabFault(f"the busybox of this machine lost applets: {found.stdout.decode()[-200:]}")
    temporary.replace(target)
    return offered
