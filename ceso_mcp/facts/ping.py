"""Whether anybody answers at an address, asked from the host."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ceso_mcp.fact import Fact, Reading, Reply
from ceso_mcp.shell import sh

_REPLY = re.compile(r"^\d+ bytes from ", re.M)
_STATISTICS = re.compile(r"^\d+ packets transmitted, (\d+) packets received", re.M)


@dataclass(frozen=True, slots=True)
class Answers(Fact[bool | None]):
    """Whether an address answers one `vmkping` within a second; None if the host cannot tell (no way there).

    Options: VMware KB 1003728. The answer's form is that of BSD's ping, of which vmkping is one.
    """

    address: str

    def reading(self) -> Reading[bool | None]:
        family = ("-6",) if ipaddress.ip_address(self.address).version == 6 else ()
        (reply,) = yield [sh("vmkping", *family, "-c", "1", "-W", "1", self.address)]
        return heard(reply)


def heard(reply: Reply) -> bool | None:
    """Reads the answer of `vmkping -c 1`."""
    if _REPLY.search(reply.stdout):
        return True
    counted = _STATISTICS.search(reply.output)
    return None if counted is None else int(counted.group(1)) > 0
