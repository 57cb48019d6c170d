"""`ceso template script`: what makes a guest a golden image, to be run inside it."""

from __future__ import annotations

import click

from ceso_mcp.surfaces.cli import output
from ceso_mcp.surfaces.cli.settings import Command, current


@click.command("script", cls=Command, short_help="Print the script that cleans a guest up to be a template.")
def script() -> None:
    """Print the script that makes the guest it runs in a golden image; see docs/golden-image.md.

    \b
    ceso template script | ssh builder@TEMPLATE-VM 'sudo sh -s -- --remove-user builder --poweroff'
    """
    from importlib.resources import files

    text = files("ceso_mcp.guest").joinpath("golden_image.sh").read_text("utf-8")
    if current().json:
        output.write_json({"script": text})
    else:
        click.echo(text, nl=False)
