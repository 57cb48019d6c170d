"""The `vim-cmd` program: which command is meant, and the help that lists them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.dump import fault
from ceso_mcp.lab.result import Faulted, Result

Command = Callable[[list[str]], Awaitable[Result]]

ROOT = """Commands available under /:
hbrsvc/       internalsvc/  solo/         vmsvc/        
hostsvc/      proxysvc/     vimsvc/       help
"""


def columns(namespace: str, names: list[str]) -> str:
    """A namespace's list: two or three columns filled downwards (transcript vimcmd-help-vmsvc-2)."""
    ordered = sorted(names)
    width = max(map(len, ordered), default=0) + 2
    count = max(1, min(3, 80 // width))
    height = -(-len(ordered) // count)
    lines = []
    for at in range(height):
        cells = ordered[at::height]
        lines.append("".join(cell.ljust(width) for cell in cells))
    return f"Commands available under {namespace}/:\n" + "\n".join(lines) + "\n"


class VimCmd:
    """Commands by their full name, each with the fewest arguments it takes and its usage line."""

    def __init__(self) -> None:
        self._commands: dict[str, tuple[Command, int, str]] = {}

    def add(self, name: str, command: Command, least: int = 0, usage: str = "") -> None:
        self._commands[name] = (command, least, usage)

    async def run(self, arguments: list[str]) -> Result:
        """Carry out `vim-cmd ARGUMENTS…`. Usage texts go to stdout with exit 1 (assumed, §1.1)."""
        if not arguments or arguments[0] in ("help", "/"):
            return Result(ROOT)
        name = arguments[0].strip("/")
        below = {known.removeprefix(f"{name}/") for known in self._commands if known.startswith(f"{name}/")}
        if below:
            shown = {word.partition("/")[0] + ("/" if "/" in word else "") for word in below}
            return Result(columns(name, list(shown)))
        if name not in self._commands:
            # The host's own sentence is not known from any capture; the word is what tools match.
            return Result(f"Invalid command '{arguments[0]}'.\n", exit=1)
        command, least, usage = self._commands[name]
        if len(arguments) - 1 < least:
            short = name.rpartition("/")[2]
            return Result(f"Insufficient arguments.\nUsage: {short} {usage}\n\n", exit=1)
        try:
            return await command(arguments[1:])
        except Faulted as raised:
            return raised.as_query()
        except (DiskFault, OSError) as trouble:
            return Faulted(fault("vim.fault.FileFault", str(trouble), file="")).as_query()
