"""The handle's end of the control socket: one JSON line there, one back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import sockets

ANSWER_TIMEOUT_S = 30.0


def ask_or_none(place: Path, action: str, **more: Any) -> Any:
    """The answer of the server, `{}` for an empty one; None when no server answers.

    Raises `LabFault` with the server's reason when it refuses.
    """
    try:
        connection = sockets.connected(place, ANSWER_TIMEOUT_S)
    except OSError:
        return None
    with connection, connection.makefile("rwb") as stream:
        try:
            stream.write(json.dumps({"action": action, **more}).encode() + b"\n")
            stream.flush()
            reply = json.loads(stream.readline() or b"null")
        except (OSError, ValueError):
            return None
    if reply is None:
        return None
    if "error" in reply:
        raise LabFault(
            f"the lab refused {action}: {reply['error']}",
            hint="if its server is of an older version: ceso lab stop, then start it again",
        )
    return {} if reply["answer"] is None else reply["answer"]
