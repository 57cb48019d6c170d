"""The MCP server over one `Ceso`, for any transport."""

from __future__ import annotations

from typing import Any

from mcp.server import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import ListenHandler

from ceso_mcp import __version__
from ceso_mcp.app import Ceso
from ceso_mcp.config import private_directory, state_root
from ceso_mcp.surfaces.mcp.announcements import Announcements
from ceso_mcp.surfaces.mcp.calls import CALL_PATIENCE_S, ToolCalls
from ceso_mcp.surfaces.mcp.follow_up import FollowUp
from ceso_mcp.surfaces.mcp.instructions import INSTRUCTIONS
from ceso_mcp.surfaces.mcp.known import Known
from ceso_mcp.surfaces.mcp.prompt_methods import PromptMethods
from ceso_mcp.surfaces.mcp.resources import Resources
from ceso_mcp.surfaces.mcp.tasks import TaskMethods


def build_server(ceso: Ceso, *, call_patience_s: float = CALL_PATIENCE_S) -> Server[Any]:
    """A server for both protocol eras. Building it touches no host.

    `call_patience_s` is how long a call waits for its job before it answers `running`.
    """
    known = Known(private_directory(ceso.config.state_dir or state_root()), ceso.host_identity())
    announcements = Announcements()
    follow_up = FollowUp(ceso, known, announcements)
    calls = ToolCalls(ceso, known, follow_up, call_patience_s=call_patience_s)
    resources = Resources(ceso, known, follow_up)
    prompts = PromptMethods(known)
    server: Server[Any] = Server(
        "ceso",
        version=__version__,
        title="ESXi Commander",
        instructions=INSTRUCTIONS,
        lifespan=announcements.lifespan,
        on_list_tools=calls.list_tools,
        on_call_tool=calls.call_tool,  # type: ignore[arg-type]  # a task is a mapping, which the SDK sends
        on_list_resources=resources.list_resources,
        on_list_resource_templates=resources.list_templates,
        on_read_resource=resources.read_resource,
        on_subscribe_resource=resources.subscribe,
        on_unsubscribe_resource=resources.unsubscribe,
        on_subscriptions_listen=ListenHandler(announcements.bus),
        on_list_prompts=prompts.list_prompts,
        on_get_prompt=prompts.get_prompt,
        on_completion=prompts.complete,
    )
    TaskMethods(ceso).add_to(server)
    seal = RequestStateSecurity.ephemeral()
    server.middleware.append(RequestStateBoundary(seal, default_audience="ceso"))
    return server
