"""What a VM asks before it starts, as `vmsvc/message` prints it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ceso_mcp.errors import StepFailed, Unreadable
from ceso_mcp.esxi.question import parse_message
from ceso_mcp.fact import Reply
from ceso_mcp.recipes.questions import nothing_is_asked

CAPTURES = Path(__file__).parents[2] / "lab" / "transcripts"
# Fact sheet vim-cmd §3, message-2.
NEWER = """Virtual machine message 1234:
msg.uuid.altered: This virtual machine might have been moved or copied.

   0. button.uuid.cancel (Cancel)
   1. button.uuid.movedTheVM (I Moved It)
   2. button.uuid.copiedTheVM (I Copied It) [default]
"""


def test_the_captured_question_is_read() -> None:
    asked = parse_message((CAPTURES / "vimcmd-message-1.txt").read_text())
    assert asked is not None
    assert (asked.id, asked.choices) == (0, {0: "Cancel", 1: "I _moved it", 2: "I _copied it"})
    assert asked.is_moved_or_copied
    assert parse_message((CAPTURES / "vimcmd-message-3.txt").read_text()) is None


def test_a_newer_question_is_read() -> None:
    asked = parse_message(NEWER)
    assert asked is not None
    assert (asked.id, asked.choices[2]) == (1234, "I Copied It")


@pytest.mark.parametrize(
    "text", ["", "something\n", "Virtual machine message 3:\nno answers\n", NEWER + "more\n"]
)
def test_what_is_neither_is_unreadable_and_still_ends_the_wait(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_message(text)
    with pytest.raises(StepFailed) as caught:
        nothing_is_asked(Reply(0, text), {})
    assert caught.value.code == "vm_question"


def test_what_the_host_says_is_shown_on_one_harmless_line() -> None:
    evil = NEWER.replace("moved", "mo\x1b[2Jved\u202e")
    with pytest.raises(StepFailed) as caught:
        nothing_is_asked(Reply(0, evil), {})
    assert caught.value.message.isprintable()
