"""A question that a VM puts before it goes on: `vmsvc/message` (message-1, -3; fact sheet vim-cmd §3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable

_HEAD = re.compile(r"Virtual machine message (\d+):")
_CHOICE = re.compile(r"\s*(\d+)\. (.*?) \((.*)\)(?: \[default\])?")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, in the host's words, and the labels of the answers by their numbers."""

    id: int
    text: str
    choices: dict[int, str]

    @property
    def is_moved_or_copied(self) -> bool:
        """Whether it is the one about a .vmx that lies elsewhere than where its VM got its UUID."""
        return "msg.uuid." in self.text or "moved or copied" in self.text


def parse_message(stdout: str) -> Question | None:
    """Read `vmsvc/message`; None if nothing is asked. Raises Unreadable for anything else."""
    lines = stdout.strip().splitlines()
    if lines == ["No message."]:
        return None
    head = _HEAD.match(lines[0]) if lines else None
    if head is None:
        raise Unreadable("vmsvc/message", "it neither asks nor says that it does not", line=stdout[:120])
    choices: dict[int, str] = {}
    text = [lines[0][head.end() :]]
    for line in lines[1:]:
        choice = _CHOICE.fullmatch(line)
        if choice:
            choices[int(choice[1])] = choice[3]
        elif not choices:
            text.append(line)
        elif line.strip():
            raise Unreadable("vmsvc/message", "something follows the answers", line=line)
    if not choices:
        raise Unreadable("vmsvc/message", "it asks without offering an answer", line=stdout[:120])
    return Question(int(head[1]), " ".join(" ".join(text).split()), choices)
