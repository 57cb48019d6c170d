"""Serving on standard input and output: a clean wire, and an end without delay."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable

import anyio
from mcp.server import NotificationOptions
from mcp.server.stdio import stdio_server

from ceso_mcp.app import Ceso
from ceso_mcp.surfaces.mcp.server import build_server

_GOODBYE_S = 0.08
"""Claude Code kills a server about half a second after its first signal; this is well within it."""


async def serve_stdio(factory: Callable[[], Ceso]) -> None:
    """Serve one client until it closes standard input or a signal comes, then end the process with 0.

    The process ends by itself because a thread that waits for input, or for a host, would hold an
    ordinary exit. Jobs are other processes and go on.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    ceso = factory()
    server = build_server(ceso)
    async with anyio.create_task_group() as group:
        group.start_soon(_end_on_signal, ceso)
        async with stdio_server() as (reading, writing):
            # A buffered print must not be flushed onto the wire when its descriptor comes back.
            sys.stdout = sys.stderr
            options = server.create_initialization_options(
                NotificationOptions(resources_changed=True, tools_changed=True, prompts_changed=True),
                extensions={},
            )
            await server.run(reading, writing, options)
            await _leave(ceso)


async def _end_on_signal(ceso: Ceso) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            await _leave(ceso)


async def _leave(ceso: Ceso) -> None:
    try:
        with anyio.move_on_after(_GOODBYE_S, shield=True):
            await ceso.close()
    finally:
        sys.stderr.flush()
        os._exit(0)
