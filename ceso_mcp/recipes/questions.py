"""A VM that asks before it starts: the question is told, never left hanging.

`power.on` waits for the answer as long as nobody gives one (fact sheet vim-cmd §3), so `vmsvc/message` is
asked meanwhile. Which answer is right only its owner knows, so the way back is the one called Cancel.
"""

from __future__ import annotations

from ceso_mcp.errors import StepFailed, Unreadable
from ceso_mcp.esxi.question import parse_message
from ceso_mcp.fact import Reply
from ceso_mcp.plan import Captures, Watch
from ceso_mcp.recipes.judging import vim_cmd_worked
from ceso_mcp.shell import Captured, Command, sh

FIRST_LOOK_S = 4.0
"""A power-on without a question is over by then, so that it costs no further command."""


def watch_for_question(vm: Captured | int) -> Watch:
    """Ends a step as soon as the VM waits for an answer; StepFailed `vm_question`."""
    return Watch(sh("vim-cmd", "vmsvc/message", vm), nothing_is_asked, "no question", every_s=FIRST_LOOK_S)


def nothing_is_asked(reply: Reply, captures: Captures) -> None:
    """Judge of `vmsvc/message`: nothing waits for an answer."""
    vim_cmd_worked(reply, captures)
    try:
        asked = parse_message(reply.stdout)
    except Unreadable:
        raise StepFailed(
            f"the VM waits for an answer: {_plain(reply.stdout)}", code="vm_question", hint=_ASK_THERE
        ) from None
    if asked is None:
        return
    answers = ", ".join(_plain(label) for label in asked.choices.values())
    raise StepFailed(
        f"the VM asks before it starts: {_plain(asked.text)} ({answers})",
        code="vm_question",
        hint=_COPIED if asked.is_moved_or_copied else _ASK_THERE,
    )


_ASK_THERE = "power it on in the host's own client and answer there"
_COPIED = (
    "its .vmx was moved or copied by hand; whether it is the same VM or another one only you know: power it "
    "on in the host's own client and answer there (copies made with clone_vm do not ask)"
)


def cancel_question(vm: Captured | int) -> Command:
    """Answer a question that waits, if there is one, with the choice called Cancel."""
    ask = sh("vim-cmd", "vmsvc/message", vm).line
    question = r"'s/^Virtual machine message \([0-9][0-9]*\):.*/\1/p'"
    choice = r"'s/^ *\([0-9][0-9]*\)\. .*(Cancel).*/\1/p'"
    return Command(
        f'm=$({ask}) || {{ echo "$m"; exit 1; }}; i=$(echo "$m" | sed -n {question}); '
        f'c=$(echo "$m" | sed -n {choice}); test -z "$i" || {ask} "$i" "$c"'
    )


def _plain(text: str) -> str:
    """The host's words on one line, without what could falsify it."""
    return "".join(char if char.isprintable() else " " for char in text)[:300].strip()
