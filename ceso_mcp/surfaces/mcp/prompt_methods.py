"""`prompts/list`, `prompts/get` and completion, from texts and names on this machine."""

from __future__ import annotations

from typing import Any

from mcp import MCPError, types

from ceso_mcp.surfaces.mcp.caller import Context
from ceso_mcp.surfaces.mcp.calls import require_first_page
from ceso_mcp.surfaces.mcp.known import Known
from ceso_mcp.surfaces.mcp.prompts import PromptText, prompts
from ceso_mcp.surfaces.mcp.untrusted import tame
from ceso_mcp.surfaces.mcp.uris import BACKUP_TEMPLATE, VM_TEMPLATE

_MOST = 100


class PromptMethods:
    """Prompts, and completion from `known`; never asks the host."""

    def __init__(self, known: Known) -> None:
        self._known = known

    async def list_prompts(self, context: Context, params: Any) -> types.ListPromptsResult:
        require_first_page(params)
        return types.ListPromptsResult(prompts=[prompt.listing for prompt in prompts().values()])

    async def get_prompt(
        self, context: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        """One prompt, filled in; -32602 for an unknown one and for arguments that do not fit."""
        prompt = _prompt(params.name)
        content = types.TextContent(type="text", text=prompt.filled(dict(params.arguments or {})))
        return types.GetPromptResult(
            description=prompt.description, messages=[types.PromptMessage(role="user", content=content)]
        )

    async def complete(self, context: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        """Known names that begin with what has been typed, at most a hundred."""
        typed = params.argument.value.casefold()
        names = dict.fromkeys(self._candidates(params))
        fitting = [name for name in names if name.casefold().startswith(typed) and name == tame(name, 255)]
        return types.CompleteResult(
            completion=types.Completion(
                values=fitting[:_MOST], total=len(fitting), has_more=len(fitting) > _MOST
            )
        )

    def _candidates(self, params: types.CompleteRequestParams) -> list[str]:
        names = self._known.names
        if isinstance(params.ref, types.PromptReference):
            argument = _prompt(params.ref.name).parameter(params.argument.name)
            if argument is None:
                raise MCPError(types.INVALID_PARAMS, "Unknown argument")
            if argument.completes is None:
                return []
            found = getattr(names, argument.completes)
            return sorted(found.values() if isinstance(found, dict) else found)
        asked = (params.ref.uri, params.argument.name)
        if asked == (VM_TEMPLATE, "vmid"):
            return list(names.vms)
        if asked == (BACKUP_TEMPLATE, "backup_id"):
            return names.backups
        raise MCPError(types.INVALID_PARAMS, "Unknown resource template or argument")


def _prompt(name: str) -> PromptText:
    prompt = prompts().get(name)
    if prompt is None:
        raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {tame(name, 80)}")
    return prompt
