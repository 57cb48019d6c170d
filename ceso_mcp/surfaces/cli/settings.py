"""What every command takes: `--lab`, `--json`, `--debug`, before the noun or after the verb."""

from __future__ import annotations

from dataclasses import dataclass

import click


@dataclass(slots=True)
class Settings:
    """How this run of the command line behaves."""

    lab: bool = False
    json: bool = False
    debug: bool = False

    def typed(self, words: str) -> str:
        """`words` as a command line that works on the same host as this run."""
        return f"ceso --lab {words}" if self.lab else f"ceso {words}"


def current() -> Settings:
    """The settings of the command that runs."""
    return click.get_current_context().ensure_object(Settings)


def common_options() -> list[click.Parameter]:
    """The options that every command takes; each only ever switches something on."""
    return [
        _switch("--lab", "work on the make-believe host of the lab; it is started if need be", "CESO_LAB"),
        _switch("--json", "machine-readable output"),
        _switch("--debug", "show tracebacks"),
    ]


def _switch(name: str, text: str, envvar: str | None = None) -> click.Option:
    def remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            setattr(ctx.ensure_object(Settings), name[2:], True)

    return click.Option(
        [name], is_flag=True, help=text, envvar=envvar, expose_value=False, callback=remember, is_eager=True
    )


class Command(click.Command):
    """A command that also takes the common options."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.params = [*self.params, *common_options()]
