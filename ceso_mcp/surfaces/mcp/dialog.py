"""The dialog in which a person agrees to the exact commands, or does not."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

import anyio
from mcp import types

from ceso_mcp.confirm import Pending
from ceso_mcp.surfaces.mcp.caller import Caller
from ceso_mcp.surfaces.mcp.untrusted import tame_line

DIALOG_CHARACTERS = 12_000
"""The longest list of commands that a dialog shows whole."""

KEY = "confirm"
_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        KEY: {
            "type": "boolean",
            "title": "Run these commands",
            "description": "Yes runs exactly the commands above, once. Anything else runs nothing.",
            "default": False,
        }
    },
    "required": [KEY],
}


def dialog_text(pending: Pending, host: str) -> str:
    """What the person reads: what it is about, every command in order, and what it destroys.

    The text is the same for the same request.
    """
    parts = [f"{tame_line(pending.title)}\non {tame_line(host)}"]
    parts.append("Commands, in this order:\n" + _commands(pending.lines, pending.fed))
    parts += _listed("Changes:", pending.touches)
    parts += _listed("Warnings:", pending.warnings)
    parts += _listed("CANNOT BE UNDONE:", pending.lost)
    return "\n\n".join(parts)


async def ask(
    caller: Caller, params: types.CallToolRequestParams, text: str, pending: Pending
) -> types.ElicitResult | types.InputRequiredResult:
    """The person's answer; on a modern connection first the result that makes the client ask.

    An answer counts only with the state that was sent with the question, which names the plan. No
    answer before the request expires is a cancel.
    """
    if not caller.modern:
        return await _ask_now(caller, text, pending)
    given = (params.input_responses or {}).get(KEY)
    if isinstance(given, types.ElicitResult) and params.request_state == pending.digest:
        return given
    form = types.ElicitRequestFormParams(message=text, requested_schema=_FORM)
    return types.InputRequiredResult(
        input_requests={KEY: types.ElicitRequest(params=form)}, request_state=pending.digest
    )


def agreed(answer: types.ElicitResult) -> bool:
    """Whether the answer is a yes: accepted, and the box is ticked."""
    return answer.action == "accept" and (answer.content or {}).get(KEY) is True


async def _ask_now(caller: Caller, text: str, pending: Pending) -> types.ElicitResult:
    with anyio.move_on_after(max(1.0, pending.expires_s - time.time())):
        return await caller.context.session.elicit_form(
            text, _FORM, related_request_id=caller.context.request_id
        )
    return types.ElicitResult(action="cancel")


def _commands(lines: Sequence[str], fed: Collection[int]) -> str:
    """The numbered lines; those whose number is in `fed` get something on standard input."""
    width = len(str(len(lines)))
    shown: list[str] = []
    length = 0
    for number, line in enumerate(lines, 1):
        text = f"{number:>{width}}. {tame_line(line)}"
        length += len(text) + 1
        if length > DIALOG_CHARACTERS:
            shown.append(
                f"This list is cut: {len(lines) - number + 1} of {len(lines)} commands do not fit here. "
                "The preview has all of them; say no if you have not read it."
            )
            break
        shown.append(text)
        if number in fed:
            shown.append(f"{'':{width}}  (what it reads from standard input is in the preview)")
    return "\n".join(shown)


def _listed(head: str, items: Sequence[str]) -> list[str]:
    return ["\n".join([head, *(f"- {tame_line(item, 500)}" for item in items)])] if items else []
