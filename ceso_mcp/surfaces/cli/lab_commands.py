"""`ceso lab`: the make-believe host that ships with ceso."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ceso_mcp.surfaces.cli import opening, output
from ceso_mcp.surfaces.cli.render import render
from ceso_mcp.surfaces.cli.settings import Command, current


@click.group(short_help="Run a make-believe ESXi host on this machine.")
def lab() -> None:
    """Run a make-believe ESXi host on this machine. CESO_LAB_DIR names another lab than the usual one."""


@lab.command(cls=Command, short_help="Start the lab.")
@click.option("--release", type=click.Choice(["7.0", "8.0"]), default="8.0", help="of ESXi  [default: 8.0]")
@click.option("--latency-s", default=0.0, type=click.FloatRange(0, 60), help="added to each host command")
@click.option("--boot-delay-s", default=0.3, type=click.FloatRange(0, 600), help="until a guest reports")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="of its SSH server; 0 = a free one")
@click.option("--fresh", is_flag=True, help="throw the old world away first")
def start(release: str, latency_s: float, boot_delay_s: float, port: int, fresh: bool) -> None:
    """Start the lab in the background, unless it runs already, and say where it listens."""
    address = opening.open_lab().start(
        release=release, latency_s=latency_s, boot_delay_s=boot_delay_s, port=port, fresh=fresh
    )
    _say({"running": True, "directory": opening.lab_directory(), **_address(address)})


@lab.command(cls=Command, short_help="Stop the lab.")
def stop() -> None:
    """Stop the lab. Its world is kept for the next start."""
    _say({"stopped": opening.open_lab().stop()})


@lab.command(cls=Command, short_help="Say whether the lab runs, and where.")
def status() -> None:
    """Say whether the lab runs, and where."""
    found = opening.open_lab().status()
    _say(
        {
            "running": found.running,
            "pid": found.pid,
            "release": found.release,
            "directory": opening.lab_directory(),
            **(_address(found.address) if found.address is not None else {}),
        }
    )


@lab.command(cls=Command, short_help="Put the lab's first world back.")
def reset() -> None:
    """Throw the lab's world away and put the first one in its place."""
    opening.open_lab().reset()
    _say({"reset": True})


@lab.command(cls=Command, short_help="Log in to the lab's host.")
def shell() -> None:
    """Log in to the lab's host, as one would to a real one. The lab is started if need be."""
    found = opening.open_lab()
    found.start()
    argv = found.shell_argv()
    os.execvp(argv[0], argv)


@lab.command(cls=Command, short_help="Show what the lab's host was asked to do.")
@click.option("--since", default=0, type=click.IntRange(0), help="only entries after this number")
def log(since: int) -> None:
    """Show every command line that the lab's host got over SSH, and every host program it ran."""
    entries = opening.open_lab().log(since)
    if current().json:
        output.write_json({"entries": [_entry(entry) for entry in entries]})
        return
    console = output.console()
    for entry in entries:
        what = entry.line if entry.kind == "exec" else " ".join(entry.argv or ())
        mark = "*" if entry.changed else " "
        output.line(console, f"{entry.seq:>6} {mark} {entry.kind:4}  {entry.exit!s:>4}  {what}")


def _entry(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ("seq", "kind", "time", "line", "argv", "exit", "changed")}


def _address(address: Any) -> dict[str, Any]:
    return {"host": address.host, "port": address.port, "user": address.user, "key_file": address.key_file}


def _say(answer: dict[str, Any]) -> None:
    if current().json:
        output.write_json(answer)
        return
    render(output.console(), {k: str(v) if isinstance(v, Path) else v for k, v in answer.items()})
