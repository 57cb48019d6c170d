"""The question that a moved or copied VMX puts before it starts, and how it is shown and answered."""

from __future__ import annotations

from ceso_mcp.lab.dump import Arr, Null, Obj, Value
from ceso_mcp.lab.world import Vm

TEXT = """msg.uuid.altered: This virtual machine might have been moved or copied.
In order to configure certain management and networking features, VMware ESX needs to know if this \
virtual machine was moved or copied.

If you don't know, answer "button.uuid.copiedTheVM".
"""
CHOICES = (
    ("button.uuid.cancel", "Cancel"),
    ("button.uuid.movedTheVM", "I Moved It"),
    ("button.uuid.copiedTheVM", "I Copied It"),
)
# Transcript vimcmd-message-1.
TEXT_5X = """msg.uuid.altered:This virtual machine may have been moved or copied.

In order to configure certain management and networking features VMware ESX needs to know which.

Did you move this virtual machine, or did you copy it?
If you don't know, answer "I copied it".
"""
CHOICES_5X = (("Cancel", "Cancel"), ("I _moved it",) * 2, ("I _copied it",) * 2)
DEFAULT = 2


def shown(vm: Vm, era: str) -> str:
    """What `vmsvc/message` prints while the question waits."""
    old = era == "5.x"
    text = f"Virtual machine message {vm.question}:\n{TEXT_5X if old else TEXT}"
    for number, (key, label) in enumerate(CHOICES_5X if old else CHOICES):
        mark = " [default]" if number == DEFAULT and not old else ""
        text += f"   {number}. {key} ({label}){mark}\n"
    return text


def question(vm: Vm, era: str) -> Value:
    """`runtime.question`; the names of its properties are the SDK's, no capture has one that waits."""
    if vm.question is None:
        return Null("vim.vm.QuestionInfo")
    choices: list[Value] = [
        Obj("vim.ElementDescription", {"label": label, "summary": label, "key": str(number)})
        for number, (_key, label) in enumerate(CHOICES)
    ]
    return Obj(
        "vim.vm.QuestionInfo",
        {
            "id": str(vm.question),
            "text": TEXT_5X if era == "5.x" else TEXT,
            "choice": Obj(
                "vim.option.ChoiceOption",
                {
                    "valueIsReadonly": False,
                    "choiceInfo": Arr("vim.ElementDescription", choices),
                    "defaultIndex": DEFAULT,
                },
            ),
        },
    )
