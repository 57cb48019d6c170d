"""Why an esxcli command failed (fact sheet esxcli-and-shell §1.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["hostd_down", "usage", "formatter", "software", "fault"]

_CLASS = re.compile(r"^ ?\[([A-Za-z]+)\]$")


@dataclass(frozen=True, slots=True)
class EsxcliError:
    """A failure.

    `usage` is a command the host does not know in this form; `fault` the command's own refusal,
    often "already so", in `message`; `software` one of the software namespace.
    """

    kind: Kind
    message: str


def esxcli_error(stdout: str, exit_status: int | None) -> EsxcliError | None:
    """The failure behind an exit status other than 0, None for 0. The text decides only its kind."""
    if exit_status == 0:
        return None
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    first = lines[0] if lines else ""
    if first.startswith("Connect to localhost failed"):
        return EsxcliError("hostd_down", first)
    if first.startswith("Error: "):
        until_usage = stdout.split("\nUsage: ")[0]
        said = [line.strip() for line in until_usage.splitlines() if line.strip()]
        return EsxcliError("usage", "; ".join(said).removeprefix("Error: "))
    if first.startswith("Unable to find requested formatter"):
        return EsxcliError("formatter", first)
    if _CLASS.match(first):
        return EsxcliError("software", " ".join(lines[1:] or lines))
    return EsxcliError("fault", " ".join(lines) or "no output")
