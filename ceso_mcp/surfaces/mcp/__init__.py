"""The MCP surface: every operation of the catalogue as a tool, over standard input and output.

`serve` blocks until the client leaves. Nothing of the protocol library is imported before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ceso_mcp.config import Config

__all__ = ["serve"]


def serve(config: Config) -> None:
    """Serve MCP on standard input and output until the client leaves, then end the process with 0.

    Touches no host and opens no connection before the first question. Standard output is the wire;
    logs go to standard error.
    """
    import anyio

    from ceso_mcp.app import Ceso
    from ceso_mcp.surfaces.mcp.stdio import serve_stdio

    anyio.run(serve_stdio, lambda: Ceso(config))
