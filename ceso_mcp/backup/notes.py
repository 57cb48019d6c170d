"""Notes beside a manifest: that a backup is protected, what its last verification and drill found.

A manifest is never changed, so what becomes known or decided later stands in small objects of its
own in the backup's folder. They go with the backup.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from ceso_mcp.backup.manifest import Bytes, Record, Utc
from ceso_mcp.errors import Unreadable

PROTECTED = "protected.json"
VERIFIED = "verified.json"
RETENTION = "retention.json"
DRILLED = "drilled.json"
NOTES = (PROTECTED, VERIFIED, DRILLED)

R = TypeVar("R", bound=Record)


class Protection(Record):
    """Somebody decided that the backup stays, and why."""

    format: Literal["ceso-protection"] = "ceso-protection"
    version: Literal[1] = 1
    backup: str
    since: Utc
    why: str = ""


class Check(Record):
    """One reading of a backup. `sample_percent` is 100 if every byte was read; `damage` counts objects."""

    time: Utc
    level: Literal["data", "storage"]
    sample_percent: Annotated[float, Field(gt=0, le=100)]
    read_bytes: Bytes
    damage: Annotated[int, Field(ge=0)]


class Verification(Record):
    """The last reading of every byte, and the last sample since."""

    format: Literal["ceso-verification"] = "ceso-verification"
    version: Literal[1] = 1
    backup: str
    full: Check | None = None
    sample: Check | None = None

    def with_check(self, check: Check) -> Verification:
        """The note after another reading: a full one makes older samples worthless."""
        if check.sample_percent == 100:
            return self.model_copy(update={"full": check, "sample": None})
        return self.model_copy(update={"sample": check})

    @property
    def damaged(self) -> bool:
        """Whether the last full reading, or a sample since then, found damage."""
        return any(check is not None and check.damage > 0 for check in (self.full, self.sample))

    @property
    def verified(self) -> datetime | None:
        """When every byte was read and was right, unless damage was found since."""
        if self.full is None or self.full.level != "data" or self.damaged:
            return None
        return self.full.time


DrillState = Literal["passed", "started", "failed"]


class Drill(Record):
    """The last restore drill. `passed`: the guest's tools answered. `started`: it ran, but no tools did,
    so that the guest itself proved nothing. `failed`: `why` tells what did not work.

    For the first two every block of every disk had been checked on the way to the host, read back
    there and compared. `hostname` is what the guest called itself; `seconds` all of it up to there.
    """

    format: Literal["ceso-drill"] = "ceso-drill"
    version: Literal[1] = 1
    backup: str
    time: Utc
    state: DrillState
    seconds: Annotated[float, Field(ge=0)]
    host: str = ""
    hostname: str = ""
    why: str = ""


MODELS: dict[str, type[Record]] = {PROTECTED: Protection, VERIFIED: Verification, DRILLED: Drill}


def render(note: Record) -> bytes:
    """The note as it is stored: JSON."""
    return (note.model_dump_json(indent=1) + "\n").encode()


def parse(model: type[R], content: bytes, name: str) -> R:
    """The note stored as `content`; raises Unreadable."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        places = ", ".join(
            ".".join(str(part) for part in item["loc"]) or "the text" for item in error.errors()
        )
        raise Unreadable(name, f"it is not as ceso writes it ({places})") from None
