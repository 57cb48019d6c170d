"""The `vim-cmd` program: which command is meant, and the help that lists them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.dump import fault
from ceso_mcp.lab.result import Faulted, Result
from ceso_mcp.lab.vim_names import columns, listed
from ceso_mcp.lab.vim_state import VimState

Command = Callable[[list[str]], Awaitable[Result]]

# The only description known from a source (vimcmd-usage-5).
DESCRIPTIONS = {"power.off": "Power off the specified virtual machines\n"}


class VimCmd:
    """Commands by their full name, each with the fewest arguments it takes and its usage line.

    `save` keeps the world after a command that changed it.
    """

    def __init__(self, state: VimState, save: Callable[[], None]) -> None:
        self._state = state
        self._save = save
        self._commands: dict[str, tuple[Command, int, str]] = {}

    def add(self, name: str, command: Command, least: int = 0, usage: str = "") -> None:
        self._commands[name] = (command, least, usage)

    async def run(self, arguments: list[str]) -> Result:
        """Carry out `vim-cmd ARGUMENTS…`."""
        result = await self._run(arguments)
        if result.changed:
            self._save()
        if self._state.line_end_blanks:
            return result
        stripped = "".join(f"{line.rstrip()}\n" for line in result.stdout.split("\n")[:-1])
        return replace(result, stdout=stripped)

    async def _run(self, arguments: list[str]) -> Result:
        era = self._state.era
        if not arguments or arguments[0] in ("help", "/"):
            return Result(columns("", listed("", set(), era)))
        name = arguments[0].strip("/")
        below = {known.removeprefix(f"{name}/") for known in self._commands if known.startswith(f"{name}/")}
        if below:
            shown = {word.partition("/")[0] + ("/" if "/" in word else "") for word in below}
            return Result(columns(name, listed(name, shown, era)))
        if name not in self._commands:
            return self._unknown(arguments[0], name)
        command, least, usage = self._commands[name]
        if len(arguments) - 1 < least:
            return self.usage(name, usage)
        try:
            return await command(arguments[1:])
        except Faulted as raised:
            return Result(stdout=self._state.render(raised.fault), exit=1)
        except (DiskFault, OSError) as trouble:
            return Result(
                stdout=self._state.render(fault("vim.fault.FileFault", str(trouble), file="")), exit=1
            )

    def usage(self, name: str, usage: str) -> Result:
        """The usage line alone on 5.x (vimcmd-usage-1), with more around it later (vimcmd-usage-5).

        Stream and exit status are not known: stdout and 1 are assumed.
        """
        short = name.rpartition("/")[2]
        if self._state.era == "5.x":
            return Result(f"Usage: {short} {usage}\n".replace("snapshotId\n", "snapId\n"), exit=1)
        text = f"Insufficient arguments.\nUsage: {short} {usage}\n\n{DESCRIPTIONS.get(short, '')}"
        return Result(text, exit=1)

    def _unknown(self, typed: str, name: str) -> Result:
        """A name that a host lists but the lab cannot run says so, in words that no host has."""
        folder, _, short = name.rpartition("/")
        if short and short in listed(folder, set(), self._state.era):
            return Result(stderr=f"the lab does not carry out {name}\n", exit=1)
        # The host's own sentence is not known from any capture; the word is what tools match.
        return Result(f"Invalid command '{typed}'.\n", exit=1)
