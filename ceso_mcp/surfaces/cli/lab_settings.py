"""The words of `ceso lab` that carry a unit: a rate, a pace, a size."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
COUNT = re.compile(r"(\d+(?:\.\d+)?) *([kmg]i?)?b?", re.IGNORECASE)
# Log-ins of 0.6 to 0.75 s, and 0.7 to 1 s for each vim-cmd or esxcli, as people measured them.
REAL_LOGIN_S = 0.7
REAL_COMMAND_S = 0.85


class Bytes(click.ParamType[int]):
    """A number of bytes: 4096, 5MiB, 1.5GB; with `rate`, "/s" may follow."""

    name = "SIZE"

    def __init__(self, *, rate: bool = False) -> None:
        self._rate = rate
        if rate:
            self.name = "RATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = value.strip()
        if self._rate:
            text = text.removesuffix("/s")
        found = COUNT.fullmatch(text)
        if found is None:
            self.fail(f"{value!r} is not a number of bytes such as 40MB or 512KiB", param, ctx)
        return int(float(found[1]) * UNITS[(found[2] or "").lower()])


class Pace(click.ParamType[dict[str, float | None]]):
    """`real`, `none`, or the seconds that each host command takes longer."""

    name = "real|SECONDS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float | None]:
        if isinstance(value, dict):
            return value
        if value == "real":
            return {"latency_s": REAL_COMMAND_S, "login_s": REAL_LOGIN_S}
        try:
            seconds = 0.0 if value == "none" else float(value)
        except ValueError:
            self.fail(f"{value!r} is neither real, none, nor a number of seconds", param, ctx)
        if not 0 <= seconds <= 60:
            self.fail("the seconds must be from 0 to 60", param, ctx)
        return {"latency_s": seconds, "login_s": None}
