"""The words of `vmkfstools`: its options and its usage text (vmkfstools-help-usage-1)."""

from __future__ import annotations

from collections.abc import Iterator

LONG = {
    "--createvirtualdisk": "-c",
    "--clonevirtualdisk": "-i",
    "--deletevirtualdisk": "-U",
    "--renamevirtualdisk": "-E",
    "--extendvirtualdisk": "-X",
    "--punchzero": "-K",
    "--inflatedisk": "-j",
    "--eagerzero": "-k",
    "--writezeros": "-w",
    "--queryrdm": "-q",
    "--createrdm": "-r",
    "--createrdmpassthru": "-z",
    "--geometry": "-g",
    "--fix": "-x",
    "--chainConsistent": "-e",
    "--queryfs": "-P",
    "--humanreadable": "-h",
    "--diskformat": "-d",
    "--adaptertype": "-a",
    "--objecttype": "-W",
    "--object": "-W",
    "--avoidnativeclone": "-N",
    "--verbose": "-v",
    "--help": "-H",
}
WITH_VALUE = ("-c", "-i", "-E", "-X", "-x", "-d", "-a", "-v", "-W", "-t", "-p", "-r", "-z")
ALONE = ("-U", "-K", "-j", "-k", "-w", "-q", "-g", "-e", "-P", "-D", "-h", "-N", "-H")
OPERATIONS = (
    "-c", "-i", "-U", "-E", "-X", "-K", "-j", "-k", "-w", "-q", "-g", "-x", "-e", "-P", "-D", "-r",
    "-z", "-t", "-p",
)  # fmt: skip

USAGE = """OPTIONS FOR FILE SYSTEMS:
vmkfstools -C --createfs [vmfs3|vmfs5]
               -b --blocksize #[mMkK]
               -S --setfsname fsName
           -Z --spanfs span-partition
           -G --growfs grown-partition
   deviceName
           -P --queryfs -h --humanreadable
           -T --upgradevmfs
   vmfsPath
           -y --reclaimBlocks vmfsPath [--reclaimBlocksUnit #blocks]
OPTIONS FOR VIRTUAL DISKS:
vmkfstools -c --createvirtualdisk #[gGmMkK]
               -d --diskformat [zeroedthick
                               |thin
                               |eagerzeroedthick
                               ]
               -a --adaptertype [buslogic|lsilogic|ide
                                |lsisas|pvscsi]
               -W --objecttype [file|vsan]
               --policyFile <fileName>
           -w --writezeros
           -j --inflatedisk
           -k --eagerzero
           -K --punchzero
           -U --deletevirtualdisk
           -E --renamevirtualdisk srcDisk
           -i --clonevirtualdisk srcDisk
               -d --diskformat [zeroedthick
                               |thin
                               |eagerzeroedthick
                               |rdm:<device>|rdmp:<device>
                               |2gbsparse]
               -W --object [file|vsan]
               --policyFile <fileName>
               -N --avoidnativeclone
           -X --extendvirtualdisk #[gGmMkK]
               [-d --diskformat eagerzeroedthick]
           -M --migratevirtualdisk
           -r --createrdm /vmfs/devices/disks/...
           -q --queryrdm
           -z --createrdmpassthru /vmfs/devices/disks/...
           -v --verbose #
           -g --geometry
           -x --fix [check|repair]
           -e --chainConsistent
           -Q --objecttype name/value pair
           --uniqueblocks childDisk
   vmfsPath
OPTIONS FOR DEVICES:
           -L --lock [reserve|release|lunreset|targetreset|busreset|readkeys|readresv
                     ] /vmfs/devices/disks/...
           -B --breaklock /vmfs/devices/disks/...
vmkfstools -H --help
"""


class BadUsage(Exception):
    """The words are no call of vmkfstools."""


def parse(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options by their short names, and the other words. Raises `BadUsage` for an unknown option."""
    options: dict[str, str] = {}
    paths: list[str] = []
    given = iter(arguments)
    for argument in given:
        long, equals, value = argument.partition("=")
        if argument.startswith("--"):
            if long not in LONG:
                raise BadUsage(long)
            short = LONG[long]
            if short in WITH_VALUE:
                options[short] = value if equals else _next(given)
            else:
                options[short] = ""
        elif argument.startswith("-") and argument != "-":
            _letters(argument[1:], given, options)
        else:
            paths.append(argument)
    return options, paths


def _next(given: Iterator[str]) -> str:
    for word in given:
        return word
    raise BadUsage("value missing")


def _letters(letters: str, given: Iterator[str], options: dict[str, str]) -> None:
    """`-Ph`, `-v10`, `-d thin`: letters in one word, the last of which may take a value."""
    at = 0
    while at < len(letters):
        short = f"-{letters[at]}"
        at += 1
        if short in WITH_VALUE:
            options[short] = letters[at:] or _next(given)
            return
        if short not in ALONE:
            raise BadUsage(short)
        options[short] = ""


def size_bytes(text: str) -> int | None:
    """A number with an optional k, m, g or t (any case); no suffix means bytes (fact sheet §1.1)."""
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}.get(text[-1:].lower())
    digits = text if factor is None else text[:-1]
    if not digits.isdigit():
        return None
    return int(digits) * (factor or 1)
