"""`ceso mcp`, `ceso demo`, and the hidden `ceso worker` that carries out one job."""

from __future__ import annotations

import asyncio

import click

from ceso_mcp.surfaces.cli import opening
from ceso_mcp.surfaces.cli.settings import Command, Settings, current


@click.command(cls=Command, short_help="Serve MCP on standard input and output.")
def mcp() -> None:
    """Serve MCP on standard input and output, for a client that starts this command.

    The host is not touched before the first question. Standard output is the wire.
    """
    settings = current()
    settings.json = False
    from ceso_mcp.surfaces.mcp import serve

    serve(opening.open_config(settings))


@click.command(cls=Command, hidden=True)
@click.argument("job_id")
def worker(job_id: str) -> None:
    """Carry out one job to its end. Started by ceso itself, in a session of its own."""
    settings = current()
    settings.debug = True  # standard error is the log of the workers
    asyncio.run(_perform(settings, job_id))


async def _perform(settings: Settings, job_id: str) -> None:
    from ceso_mcp.worker import perform

    ceso = opening.open_ceso(settings)
    try:
        await perform(ceso, job_id)
    finally:
        await ceso.close()


@click.command(cls=Command, short_help="See it work on a fresh lab, in less than a minute.")
def demo() -> None:
    """Create, clone, back up, delete and restore VMs on a fresh lab, through MCP, and check the result.

    Starts `ceso mcp` as a client would and shows every dialog and every command. Needs no host. The
    lab keeps running afterwards, so that you can look around in it.
    """
    from ceso_mcp.surfaces.cli.demo import run_demo

    run_demo()
