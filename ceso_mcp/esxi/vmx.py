"""The .vmx file: a lossless, ordered document of `key = "value"` lines.

Keys are compared without regard to case; duplicates occur and the last one counts; values escape bytes
as `|XX` (fact sheet vmkfstools §5.1). A document that is not changed renders to the bytes it came from.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable

_LINE = re.compile(r'^(\s*)([^\s=#"][^=]*?)(\s*=\s*)"(.*)"(\s*)$')
_BARE = re.compile(r"^(\s*)([^\s=#\"][^=]*?)(\s*=\s*)([^\"\s]*)(\s*)$")
_ESCAPE = re.compile(rb"\|([0-9A-Fa-f]{2})")
_NODE = re.compile(r"^((?:scsi|sata|ide|nvme)\d+):(\d+)\.(\w+)$")
_HARD_DISK = {"", "scsi-harddisk", "disk", "ata-harddisk", "sata-harddisk", "nvme-harddisk"}


@dataclass(frozen=True, slots=True)
class VmxDisk:
    """A hard disk of the VM; `node` is controller and unit, `scsi0:0`."""

    node: str
    file_name: str
    mode: str
    device_type: str
    sharing: str

    @property
    def controller(self) -> str:
        return self.node.partition(":")[0]

    @property
    def unit(self) -> int:
        return int(self.node.partition(":")[2])


@dataclass(frozen=True, slots=True)
class VmxCdrom:
    """A CD drive and what is in it."""

    node: str
    file_name: str
    device_type: str


@dataclass(frozen=True, slots=True)
class VmxNic:
    """A network card. `mac` is the static or the generated address, None before there is one."""

    index: int
    network_name: str | None
    virtual_dev: str | None
    address_type: str | None
    mac: str | None
    pci_slot: int | None


@dataclass(frozen=True, slots=True)
class _Line:
    raw: str
    key: str | None = None
    value: str | None = None
    end: str = "\n"


class Vmx:
    """An immutable .vmx document."""

    def __init__(self, lines: tuple[_Line, ...]) -> None:
        self._lines = lines
        self._values = {line.key.lower(): line.value or "" for line in lines if line.key is not None}

    @classmethod
    def parse(cls, text: str) -> Vmx:
        """Read a document; raises Unreadable for a line that is neither setting, comment nor blank."""
        lines = []
        for piece in re.findall(r"[^\n]*\n|[^\n]+", text):
            body = piece.rstrip("\r\n")
            end = piece[len(body) :]
            if not body.strip() or body.lstrip().startswith("#"):
                lines.append(_Line(body, end=end))
                continue
            match = _LINE.match(body) or _BARE.match(body)
            if match is None:
                raise Unreadable("a .vmx", "a line is no setting", line=body)
            lines.append(_Line(body, match[2], _decoded(match[4]), end))
        return cls(tuple(lines))

    @classmethod
    def parse_bytes(cls, data: bytes) -> Vmx:
        """Read a document in the encoding that its `.encoding` line names (UTF-8 if none)."""
        match = re.search(rb'(?mi)^\s*\.encoding\s*=\s*"([A-Za-z0-9_-]+)"', data)
        name = match[1].decode("ascii") if match else "UTF-8"
        try:
            return cls.parse(data.decode(codecs.lookup(name).name))
        except (LookupError, UnicodeDecodeError):
            raise Unreadable("a .vmx", f"it is not in the encoding {name} that it names") from None

    def render(self) -> str:
        return "".join(line.raw + line.end for line in self._lines)

    def get(self, key: str, default: str | None = None) -> str | None:
        return self._values.get(key.lower(), default)

    def flag(self, key: str) -> bool:
        """TRUE and true count as set (fact sheet vmkfstools §5.1)."""
        return (self.get(key) or "").strip().lower() in ("true", "1", "yes", "y", "t", "on")

    def number(self, key: str) -> int | None:
        """The value as an integer, None if absent; raises Unreadable if it is something else."""
        text = self.get(key)
        if text is None or not text.strip():
            return None
        if not re.fullmatch(r"-?\d+", text.strip()):
            raise Unreadable("a .vmx", f"{key} is not a number", line=text)
        return int(text)

    def keys(self) -> list[str]:
        """Keys as written, each once, in order."""
        return list({line.key.lower(): line.key for line in self._lines if line.key is not None}.values())

    def items(self) -> Iterator[tuple[str, str]]:
        for key in self.keys():
            yield key, self._values[key.lower()]

    def with_set(self, changes: Mapping[str, str]) -> Vmx:
        """A document with these values: in their old places, else at the end; duplicates removed."""
        wanted = {key.lower(): (key, value) for key, value in changes.items()}
        lines: list[_Line] = []
        done: set[str] = set()
        for line in self._lines:
            name = line.key.lower() if line.key is not None else None
            if name is None or name not in wanted:
                lines.append(line)
            elif name not in done:
                done.add(name)
                lines.append(_setting(line.key or "", wanted[name][1], line.end))
        if lines and not lines[-1].end:
            last = lines[-1]
            lines[-1] = _Line(last.raw, last.key, last.value)
        lines += [_setting(key, value, "\n") for name, (key, value) in wanted.items() if name not in done]
        return Vmx(tuple(lines))

    def without(self, drop: Iterable[str] | Callable[[str], bool]) -> Vmx:
        """A document without these keys (or those of which `drop` is true)."""
        if callable(drop):
            test = drop
        else:
            names = {key.lower() for key in drop}

            def test(key: str) -> bool:
                return key.lower() in names

        return Vmx(tuple(line for line in self._lines if line.key is None or not test(line.key)))

    @property
    def encrypted(self) -> bool:
        return any(key.lower().startswith("encryption.") for key in self.keys())  # noqa: SIM118

    def disks(self) -> list[VmxDisk]:
        """Hard disks that are present, in the order of controller and unit."""
        found = []
        for node, values in self._nodes().items():
            kind = values.get("devicetype", "").lower()
            name = values.get("filename", "")
            if kind in _HARD_DISK and name.lower().endswith(".vmdk") and self._present(node, values):
                found.append(
                    VmxDisk(
                        node,
                        name,
                        values.get("mode", ""),
                        values.get("devicetype", ""),
                        values.get("sharing", ""),
                    )
                )
        return sorted(found, key=lambda disk: (_controller_order(disk.controller), disk.unit))

    def cdroms(self) -> list[VmxCdrom]:
        return [
            VmxCdrom(node, values.get("filename", ""), values.get("devicetype", ""))
            for node, values in self._nodes().items()
            if "cdrom" in values.get("devicetype", "").lower() and self._present(node, values)
        ]

    def nics(self) -> list[VmxNic]:
        numbers = sorted(
            {int(m[1]) for key in self.keys() if (m := re.match(r"(?i)ethernet(\d+)\.present$", key))}  # noqa: SIM118
        )
        found = []
        for number in numbers:
            prefix = f"ethernet{number}."
            if not self.flag(f"{prefix}present"):
                continue
            static = (self.get(f"{prefix}addressType") or "").lower() == "static"
            mac = self.get(f"{prefix}address") if static else self.get(f"{prefix}generatedAddress")
            found.append(
                VmxNic(
                    number,
                    self.get(f"{prefix}networkName"),
                    self.get(f"{prefix}virtualDev"),
                    self.get(f"{prefix}addressType"),
                    (mac or "").lower() or None,
                    self.number(f"{prefix}pciSlotNumber"),
                )
            )
        return found

    def _nodes(self) -> dict[str, dict[str, str]]:
        nodes: dict[str, dict[str, str]] = {}
        for key, value in self.items():
            match = _NODE.match(key.lower())
            if match:
                nodes.setdefault(f"{match[1]}:{match[2]}", {})[match[3]] = value
        return nodes

    def _present(self, node: str, values: Mapping[str, str]) -> bool:
        return values.get("present", "TRUE").strip().lower() == "true"


def _setting(key: str, value: str, end: str) -> _Line:
    return _Line(f'{key} = "{_encoded(value)}"', key, value, end or "\n")


def _encoded(value: str) -> str:
    out = []
    for char in value:
        if char in '"|' or ord(char) < 0x20 or ord(char) == 0x7F:
            out.append(f"|{ord(char):02X}")
        elif 0x80 <= ord(char) < 0xA0 or char in "\u2028\u2029":
            out += [f"|{byte:02X}" for byte in char.encode()]
        else:
            out.append(char)
    return "".join(out)


def _decoded(text: str) -> str:
    if "|" not in text:
        return text
    raw = _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), text.encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")


def _controller_order(controller: str) -> tuple[int, int]:
    kind = controller.rstrip("0123456789")
    return ("scsi", "nvme", "sata", "ide").index(kind), int(controller[len(kind) :])
