"""What is on the disk of a VM that is off, read from its flat extent."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Fact, Reading, Reply
from ceso_mcp.guest.disk.look import look
from ceso_mcp.guest.disk.pages import PAGE_BYTES, paged
from ceso_mcp.guest.disk.ranges import Range, Unknown
from ceso_mcp.guest.golden_seen import Seen
from ceso_mcp.shell import Command, sh


@dataclass(frozen=True, slots=True)
class GuestOnDisk(Fact[Seen | Unknown]):
    """What the audit of a golden image looks at, or why it cannot be seen.

    A flat extent reads as the plain disk, a thin one too. Pages come through `dd | gzip | od`, which the
    host has while it has no `base64` (fact sheet esxcli-and-shell §3.1); a file that is in use does not open.
    """

    flat: DatastorePath
    size_bytes: int

    def reading(self) -> Reading[Seen | Unknown]:
        reader = paged(look(self.size_bytes), self.size_bytes)
        try:
            runs = next(reader)
            while True:
                replies = yield [read_pages(self.flat, run) for run in runs]
                pages = [_bytes(reply, run) for reply, run in zip(replies, runs, strict=True)]
                runs = reader.send(pages)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        except Unknown as reason:
            return reason


def read_pages(flat: DatastorePath, run: Range) -> Command:
    """The line that shows a run of pages as hexadecimal digits of its gzip."""
    count = -(-run.length // PAGE_BYTES)
    read = sh(
        "dd", f"if={flat.posix()}", f"bs={PAGE_BYTES}", f"skip={run.start // PAGE_BYTES}", f"count={count}"
    )
    return read.piped(sh("gzip", "-c")).piped(sh("od", "-An", "-v", "-tx1"))


def _bytes(reply: Reply, run: Range) -> bytes:
    try:
        data = gzip.decompress(bytes.fromhex("".join(reply.require("reading a disk").split())))
    except (ValueError, OSError, EOFError, zlib.error):
        raise Unknown("the host's answer to reading it is damaged") from None
    if len(data) != run.length:
        said = next((line for line in reply.stderr.splitlines() if "records" not in line), "")
        raise Unknown(f"the host could not read it: {said[:200] or 'its end came too early'}")
    return data
