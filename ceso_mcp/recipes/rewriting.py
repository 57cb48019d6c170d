"""Steps that change some lines of a VM's .vmx where it lies, and keep the old one until all is well.

The host itself filters the file, so that whatever it wrote into it meanwhile (a running VM's is rewritten at
power-off) stays. It is put in place with `mv` while the VM is off, and then reloaded (fact sheet
vmkfstools §5.1).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.facts.inventory import Vm
from ceso_mcp.plan import Recheck, Step, Undo
from ceso_mcp.recipes.judging import vim_cmd_worked
from ceso_mcp.recipes.place import is_gone, while_there
from ceso_mcp.recipes.swapping import see_it_is_off
from ceso_mcp.shell import Command, sh
from ceso_mcp.text import Text


@dataclass(frozen=True, slots=True)
class Rewriting:
    """One change of the .vmx of `vm`: the lines of the keys `gone` go, `added` comes at its end."""

    vm: Vm
    gone: tuple[str, ...]
    added: Text | None
    run_id: str

    @property
    def _new(self) -> DatastorePath:
        return self.vm.path.sibling(f"{self.vm.path.name}.new-{self.run_id}")

    @property
    def kept(self) -> DatastorePath:
        """The old .vmx, byte for byte, until `finish`."""
        return self.vm.path.sibling(f"{self.vm.path.name}.before-{self.run_id}")

    def steps(self) -> list[Step]:
        """Everything until the host has read the new file; the VM has to be off by then."""
        path, new, kept = self.vm.path, self._new, self.kept
        reload = sh("vim-cmd", "vmsvc/reload", self.vm.vmid)
        back = while_there(kept, sh("mv", kept, path))
        # A copy is whole or has another name; one that differs is the only one of the old file: it stays.
        part = kept.sibling(f"{kept.name}.part")
        same = sh("diff", kept, path).to("/dev/null").then(sh("rm", "-f", kept))
        rest = sh("grep", "-v", "-i", "-E", lines_of(self.gone), kept)
        line = rest.to(new) if self.added is None else Command(f"{{ {rest.line} && cat; }} > {sh(new).line}")
        return [
            see_it_is_off(self.vm),
            Step(
                "keep a copy of the VM's configuration",
                sh("cp", path, part).then(sh("mv", part, kept)),
                undo=Undo(
                    (
                        sh("rm", "-f", part),
                        while_there(kept, Command(f"{{ {same.line}; }}")),
                    )
                ),
                repeatable=True,
            ),
            Step(
                "write the new configuration beside it",
                line,
                stdin=self.added,
                undo=Undo((sh("rm", "-f", new),)),
                repeatable=True,
            ),
            Step(
                "put the new configuration in its place",
                sh("mv", new, path),
                recheck=Recheck(sh("ls", "-d", new), is_gone),
                undo=Undo((back, reload), done=vim_cmd_worked, when="succeeded"),
            ),
            Step("let the host read it", reload, judge=vim_cmd_worked, repeatable=True),
        ]

    def finish(self) -> Step:
        """All is well: the old file goes. From here on nothing is undone."""
        return Step(
            "remove the copy of the old configuration",
            sh("rm", "-f", self.kept),
            recheck=Recheck(sh("ls", "-d", self.kept), is_gone),
            repeatable=True,
            completes=True,
        )


def lines_of(keys: Collection[str]) -> str:
    """An extended regular expression for the lines of a .vmx that set one of `keys`, in any case."""
    return f"^[[:space:]]*({'|'.join(key.replace('.', '[.]') for key in keys)})[[:space:]]*="
