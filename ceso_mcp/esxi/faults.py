"""Faults of hostd in the output of vim-cmd, and how it shows that hostd does not answer.

Sources: fact sheet vim-cmd §1.1, §1.4, §1.5; esxcli-and-shell §1.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.dump import DumpObject, Value, parse_leading_object

_START = re.compile(
    r"^[ \t]*(?:[A-Z][A-Za-z ]* failed:[ \t]*)?"
    r"(?P<object>\((?P<type>(?:vim|vmodl)\.fault\.[A-Za-z.]+)\)(?P<rest>.*))$",
    re.M,
)
_MESSAGE = re.compile(r'^[ \t]*msg = "(.*?)",?[ \t]*$', re.M)
_DOWN = re.compile(
    r"^[ \t]*(?:Failed to login: |Connect to localhost failed|.*std::bad_alloc|Killed[ \t]*$)", re.M
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: `type` as `vim.fault.NotFound` ("" if only a sentence told of it), its message, its fields."""

    type: str
    message: str
    fields: Mapping[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The type without its package, to be compared without regard to case."""
        return self.type.rpartition(".")[2]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The localised messages that came with it (power.on-3), in order."""
        found = self.fields.get("faultMessage")
        if not isinstance(found, list):
            return ()
        texts = [item.fields.get("message") for item in found if isinstance(item, DumpObject)]
        return tuple(text for text in texts if isinstance(text, str))


def find_fault(text: str) -> Fault | None:
    """The first fault object at the start of a line (or after `<Operation> failed:`), else None.

    An object that is cut off still counts, with what can be read of it: taking a fault for success
    is the worse error. Free text that imitates a fault counts too.
    """
    found = _START.search(text)
    if found is None:
        return None
    kind, rest = found.group("type"), found.group("rest").strip()
    if rest.startswith("{"):
        try:
            value = parse_leading_object(text[found.start("object") :])
        except Unreadable:
            message = _MESSAGE.search(text, found.end())
            return Fault(kind, message.group(1) if message else "")
        said = value.fields.get("msg")
        return Fault(kind, said if isinstance(said, str) else "", value.fields)
    return Fault(kind, rest.strip(". "))


def hostd_unavailable(text: str) -> bool:
    """Whether a program says that it could not talk to hostd.

    Sources: login-failed-1, login-failed-2, shell-vimcmd-hostd-error-1, esxcli-error-hostd-down-1.
    """
    return _DOWN.search(text) is not None
