"""The table of commands, the help of each, and how quickly it comes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from ceso_mcp import catalogue
from ceso_mcp.surfaces.cli import table
from ceso_mcp.surfaces.cli.root import ceso


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield (*words, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


def test_every_operation_has_exactly_one_command() -> None:
    assert sorted(row.operation for row in table.TABLE) == catalogue.names()


def test_every_noun_of_the_table_is_a_group() -> None:
    assert {row.noun for row in table.TABLE if row.noun} <= set(ceso.commands)


@pytest.mark.parametrize("row", table.TABLE, ids=lambda row: row.operation)
def test_positional_arguments_are_fields_and_every_field_is_reachable(row: table.Row) -> None:
    model = catalogue.operation(row.operation)
    assert set(row.arguments) <= set(model.model_fields)
    command = ceso.get_command(click.Context(ceso), row.noun or row.verb)
    if isinstance(command, click.Group):
        command = command.get_command(click.Context(command), row.verb)
    assert command is not None
    ctx = click.Context(command)
    assert set(model.model_fields) <= {param.name for param in command.get_params(ctx)}


@pytest.mark.parametrize("row", table.TABLE, ids=lambda row: row.operation)
def test_the_summary_read_from_the_file_is_the_operations_own(row: table.Row) -> None:
    assert table.summary(row.operation) == catalogue.operation(row.operation).summary()


@pytest.mark.parametrize("words", [(), *commands(ceso)], ids=lambda words: " ".join(words) or "ceso")
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(ceso, [*words, "--help"], prog_name="ceso")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: {' '.join(('ceso', *words))}")


@pytest.mark.parametrize(
    "example", [text for row in table.TABLE for text in row.examples], ids=lambda text: text
)
def test_every_example_is_a_command_that_exists_with_options_that_exist(example: str) -> None:
    words = shlex.split(example)[1:]
    ctx: click.Context = ceso.make_context("ceso", list(words), resilient_parsing=True)
    command: click.Command = ceso
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        assert found is not None
        command = found
        ctx = command.make_context(name or "", rest, parent=ctx)


@pytest.mark.parametrize("words", [("--help",), ("vm", "--help"), ("lab", "--help")])
def test_help_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    """Help is quick only as long as none of these is imported for it."""
    script = (
        "import sys; from ceso_mcp.surfaces.cli.root import ceso\n"
        f"try: ceso({list(words)!r}, prog_name='ceso')\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'rich', 'asyncssh', 'mcp', 'zstandard'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: ceso" in done.stdout


def test_a_shell_can_complete_nouns_and_verbs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ceso_mcp"],
        env={"_CESO_COMPLETE": "bash_complete", "COMP_WORDS": "ceso vm ", "COMP_CWORD": "2"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    offered = [line.partition(",")[2] for line in done.stdout.split()]
    assert {"list", "create", "delete"} <= set(offered)
