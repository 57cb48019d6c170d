"""The command `ceso`: its nouns and verbs, and the one place where failures become exit statuses."""

from __future__ import annotations

from typing import Any, NoReturn

import click

from ceso_mcp import __version__
from ceso_mcp.errors import CesoError, RepositoryFault, TokenFault
from ceso_mcp.surfaces.cli import (
    audit_commands,
    consent_commands,
    job_commands,
    lab_commands,
    serve_commands,
    template_commands,
)
from ceso_mcp.surfaces.cli.command import Noun, OperationCommand
from ceso_mcp.surfaces.cli.failures import INTERRUPTED, JobFailed, tell_error
from ceso_mcp.surfaces.cli.follow import StillRunning
from ceso_mcp.surfaces.cli.run import AnswerStatus, FoundDamage, NotConfirmed
from ceso_mcp.surfaces.cli.settings import Settings, common_options
from ceso_mcp.surfaces.cli.table import NOUNS, rows

_JSON_ASKED = "ceso.json_asked"


class Root(click.Group):
    """All commands. Turns whatever ends one into a message and an exit status."""

    def __init__(self) -> None:
        super().__init__(
            "ceso",
            help="Manage one standalone ESXi host over SSH. Every command is shown before it runs.",
            epilog="\b\nTry it without a host:\n  ceso --lab vm list\n  ceso demo",
            params=common_options(),
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        )

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*(row.verb for row in rows(None)), *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for row in rows(None):
            if row.verb == cmd_name:
                return OperationCommand(row)
        return self.commands.get(cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_JSON_ASKED] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        settings = ctx.ensure_object(Settings)
        try:
            return super().invoke(ctx)
        except StillRunning as left:
            way = settings.typed(f"jobs follow {left.job_id}")
            click.echo(f"\nThe job goes on in the background. To follow it: {way}", err=True)
            _leave(INTERRUPTED)
        except NotConfirmed:
            click.echo("Nothing has run: --yes runs without asking, --dry-run only looks.", err=True)
            _leave(TokenFault.exit_status)
        except AnswerStatus as answer:
            _leave(answer.status)
        except FoundDamage:
            _leave(RepositoryFault.exit_status)
        except (KeyboardInterrupt, click.Abort):
            click.echo("\ninterrupted", err=True)
            _leave(INTERRUPTED)
        except click.UsageError as error:
            if not ctx.meta[_JSON_ASKED]:
                raise
            settings.json = True
            _leave(tell_error(error, settings))
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except (CesoError, JobFailed) as error:
            _leave(tell_error(error, settings))
        except Exception as error:
            _leave(tell_error(error, settings))


def _leave(status: int) -> NoReturn:
    raise click.exceptions.Exit(status)


ceso = Root()
click.version_option(__version__, prog_name="ceso")(ceso)
for _noun, _help in NOUNS.items():
    _group = Noun(_noun, help=_help)
    if _noun == "template":
        _group.add_command(template_commands.script)
    ceso.add_command(_group)
ceso.add_command(job_commands.jobs)
ceso.add_command(consent_commands.confirm)
ceso.add_command(consent_commands.approve)
ceso.add_command(audit_commands.audit)
ceso.add_command(serve_commands.mcp)
ceso.add_command(lab_commands.lab)
ceso.add_command(serve_commands.demo)
ceso.add_command(serve_commands.worker)
