"""A command made from an operation. The operation is imported when the command is used, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ceso_mcp.surfaces.cli.settings import Settings, common_options
from ceso_mcp.surfaces.cli.table import Row, rows, summary

if TYPE_CHECKING:
    from ceso_mcp.operation import Operation


class OperationCommand(click.Command):
    """The command of one row of the table."""

    def __init__(self, row: Row) -> None:
        super().__init__(row.verb, short_help=summary(row.operation), epilog=_examples(row.examples))
        self.row = row
        self._model: type[Operation] | None = None

    @property
    def model(self) -> type[Operation]:
        """The operation; imported at the first look."""
        if self._model is None:
            from ceso_mcp import catalogue

            self._model = catalogue.operation(self.row.operation)
        return self._model

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if not self.params:
            from ceso_mcp.operation import Change
            from ceso_mcp.surfaces.cli.options import parameters

            self.help = self.model.description()
            own = parameters(self.model, self.row.arguments)
            consent = consent_options() if issubclass(self.model, Change) else []
            self.params = [*own, *consent, *common_options()]
        return super().get_params(ctx)

    def invoke(self, ctx: click.Context) -> None:
        from ceso_mcp.surfaces.cli.run import run_operation

        values: dict[str, Any] = dict(ctx.params)
        flags = {name: bool(values.pop(f"cli_{name}", False)) for name in ("dry_run", "yes", "full")}
        subject = str(next((values[name] for name in ("vm", "name") if values.get(name)), ""))
        run_operation(self.model, values, ctx.ensure_object(Settings), subject=subject, **flags)


class Noun(click.Group):
    """A group of commands: those of the table, and those given to it by hand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [row.verb for row in rows(self.name)] + list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for row in rows(self.name):
            if row.verb == cmd_name:
                return OperationCommand(row)
        return self.commands.get(cmd_name)


def consent_options() -> list[click.Parameter]:
    """What a command that changes something takes besides its own parameters."""
    return [
        click.Option(["cli_dry_run", "--dry-run"], is_flag=True, help="show the plan and stop"),
        click.Option(["cli_yes", "-y", "--yes"], is_flag=True, help="run without asking"),
        click.Option(["cli_full", "--full"], is_flag=True, help="show standard inputs in full"),
    ]


def _examples(lines: tuple[str, ...]) -> str | None:
    """Help's last paragraph, kept from being filled."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines) if lines else None
