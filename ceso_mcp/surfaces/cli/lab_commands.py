"""`ceso lab`: the make-believe host that ships with ceso."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import click

from ceso_mcp.surfaces.cli import opening, output
from ceso_mcp.surfaces.cli.lab_faults import fault
from ceso_mcp.surfaces.cli.lab_settings import Bytes, Pace
from ceso_mcp.surfaces.cli.render import render
from ceso_mcp.surfaces.cli.settings import Command, current


@click.group(short_help="Run a make-believe ESXi host on this machine.")
def lab() -> None:
    """Run a make-believe ESXi host on this machine. CESO_LAB_DIR names another lab than the usual one."""


lab.add_command(fault)


@lab.command(cls=Command, short_help="Start the lab.")
@click.option("--release", type=click.Choice(["7.0", "8.0", "9.0"]), help="of ESXi  [default: 8.0]")
@click.option(
    "--guests",
    type=click.Choice(["fake", "qemu"]),
    help="of a new world: qemu boots a real Linux, see `ceso lab golden build`  [default: fake]",
)
@click.option("--latency", type=Pace(), help="of each host command; real = as people measured it")
@click.option("--latency-s", type=click.FloatRange(0, 60), help="the same, in seconds only")
@click.option("--throughput", type=Bytes(rate=True), help="of each SSH stream, such as 40MB/s; 0 = no limit")
@click.option("--python3/--no-python3", default=None, help="whether the host has one  [default: it has]")
@click.option("--boot-delay-s", type=click.FloatRange(0, 600), help="until a guest reports  [default: 0.3]")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="of its SSH server; 0 = a free one")
@click.option("--fresh", is_flag=True, help="throw the old world away first")
@click.option("--vms", default=0, type=click.IntRange(0, 2000), help="so many small VMs more, in a new world")
@click.option("--world", type=click.Path(path_type=Path), help="a TOML file that describes the new world")
def start(
    release: str | None,
    guests: Literal["fake", "qemu"] | None,
    latency: dict[str, float | None] | None,
    latency_s: float | None,
    throughput: int | None,
    python3: bool | None,
    boot_delay_s: float | None,
    port: int,
    fresh: bool,
    vms: int,
    world: Path | None,
) -> None:
    """Start the lab in the background, unless it runs already, and say where it listens.

    An option that is not given leaves the setting as it is. docs/lab.md describes world files.

    With --guests qemu the golden template and its copies boot in QEMU, a minute or two each. A world keeps
    its release and its guests.
    """
    found = opening.open_lab()
    address = found.start(
        release=release,
        guests=guests,
        latency_s=latency_s,
        boot_delay_s=boot_delay_s,
        port=port,
        fresh=fresh,
        vms=vms,
        world_file=world,
    )
    more: dict[str, Any] = dict(latency or {})
    if throughput is not None:
        more["throughput_bytes_s"] = throughput
    if python3 is not None:
        more["python3"] = python3
    if more:
        found.configure(**more)
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


@lab.command(cls=Command, short_help="Let the server of an NFS datastore go away.")
@click.argument("datastore")
def vanish(datastore: str) -> None:
    """Let the server of an NFS datastore answer no more, until `ceso lab come-back`."""
    opening.open_lab().vanish(datastore)
    _say({"datastore": datastore, "accessible": False})


@lab.command("come-back", cls=Command, short_help="Let the server of an NFS datastore come back.")
@click.argument("datastore")
def come_back(datastore: str) -> None:
    """Let the server of an NFS datastore answer again; its files are as they were."""
    opening.open_lab().come_back(datastore)
    _say({"datastore": datastore, "accessible": True})


@lab.group(short_help="Make the golden image of real guests.")
def golden() -> None:
    """Make the golden image of real guests, for a lab whose VMs run in QEMU."""


@golden.command(cls=Command, short_help="Build the image, unless it is there.")
def build() -> None:
    """Build the golden image from Debian packages and keep it in the cache folder. This takes minutes."""
    from ceso_mcp.lab import golden as images

    _say({"image": images.build(images.default_cache())})


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
