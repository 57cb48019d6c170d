"""`ceso lab fault`: make things go wrong on the lab's host, by rule."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from ceso_mcp.surfaces.cli import opening, output
from ceso_mcp.surfaces.cli.lab_settings import Bytes
from ceso_mcp.surfaces.cli.settings import Command, current

EXAMPLES = """\b
Examples:
  ceso lab fault add 'vmsvc/power.on' fail --where shim --stderr 'Power on failed'
  ceso lab fault add 'vmkfstools -i' kill --where shim --percent 37
  ceso lab fault add 'vmkfstools -i' fill --where shim --datastore datastore1 --at-bytes 5MiB
  ceso lab fault add 'cat >' cut_stdin --at-bytes 70000
  ceso lab fault add 'vim-cmd' hostd_restart --where shim --seconds 5
  ceso lab fault add 'vmsvc/power.on' lie --where shim --stderr 'Power on failed'
  ceso lab fault add 'snapshot.create' late --where shim --seconds 3 --stderr 'Operation timed out'
  ceso lab fault add '.' delay --seconds 2 --times 0

\b
Effects:
  fail           give --stdout, --stderr, --exit-status in place of running it
  cut_before     cut the SSH connection, nothing runs
  cut_after      it runs to its end, then the connection is cut
  cut_stdout     cut the connection after --at-bytes of output
  cut_stdin      cut the connection after --at-bytes of input
  full_stdin     after --at-bytes of input it ends as if the datastore were full
  hang           nothing happens until the client gives up
  delay          wait --seconds, then go on
  fill           leave --at-bytes free on --datastore (or on all), then go on
  kill           kill vmkfstools when it has done --percent
  drop_vm        unregister the VM named --vm, then go on
  lie            it runs, but the given texts and status are answered
  late           the given texts and status are answered at once; it runs --seconds later
  hostd_restart  hostd is away for --seconds"""


# The lab's effects, without the cost of importing the lab for every command line.
EFFECTS = (
    "fail",
    "cut_before",
    "cut_after",
    "cut_stdout",
    "cut_stdin",
    "full_stdin",
    "hang",
    "delay",
    "fill",
    "kill",
    "drop_vm",
    "lie",
    "late",
    "hostd_restart",
)


@click.group(short_help="Make things go wrong on the lab's host.")
def fault() -> None:
    """Make things go wrong on the lab's host. Rules outlive restarts of the lab; a reset clears them."""


@fault.command(cls=Command, short_help="Add a rule.", epilog=EXAMPLES)
@click.argument("match")
@click.argument("effect", type=click.Choice(EFFECTS))
@click.option("--where", type=click.Choice(["exec", "shim"]), default="exec", help="where MATCH is searched")
@click.option("--after", default=0, type=click.IntRange(0), help="let so many matches pass first")
@click.option("--times", default=1, type=click.IntRange(0), help="hit so many, 0 = all  [default: 1]")
@click.option("--stdout", default="", help="the text to answer; a line end is added")
@click.option("--stderr", default="", help="the text to answer; a line end is added")
@click.option("--exit-status", default=1, type=click.IntRange(0, 255), help="the status to answer")
@click.option("--at-bytes", default=0, type=Bytes(), help="where a stream is cut, or what is left free")
@click.option("--seconds", default=0.0, type=click.FloatRange(0, 3600), help="how long, or how late")
@click.option("--percent", default=50, type=click.IntRange(0, 100), help="where vmkfstools is killed")
@click.option("--datastore", default="", help="the datastore to fill; empty = all")
@click.option("--vm", default="", help="the VM to unregister")
def add(match: str, effect: str, times: int, stdout: str, stderr: str, **more: Any) -> None:
    """Add a rule: when MATCH, a regular expression, is found in a command, EFFECT happens.

    With --where exec (the usual) the command is the line that a client sent over SSH; with --where shim it
    is a host program (vim-cmd, esxcli, vmkfstools) with its words joined by blanks.
    """
    from ceso_mcp.lab import Fault

    texts = {"stdout": _line(stdout), "stderr": _line(stderr)}
    rule: Any = {"match": match, "effect": effect, "times": times or None, **texts, **more}
    _say({"id": opening.open_lab().add_fault(Fault(**rule))})


def _line(text: str) -> str:
    return f"{text}\n" if text and not text.endswith("\n") else text


@fault.command("list", cls=Command, short_help="Show the rules.")
def list_rules() -> None:
    """Show the rules in the order in which they are tried."""
    rules = [_shown(rule) for rule in opening.open_lab().faults()]
    if current().json:
        output.write_json({"faults": rules})
        return
    console = output.console()
    for rule in rules:
        head = f"{rule.pop('id'):>4}  {rule.pop('effect')}  {rule.pop('where')}  {rule.pop('match')!r}"
        output.line(console, "  ".join([head, *(f"{key}={value!r}" for key, value in rule.items())]))


def _shown(rule: Any) -> dict[str, Any]:
    """The fields of a rule that say something: not those that hold what nobody changed."""
    always = ("id", "match", "effect", "where")
    return {
        item.name: getattr(rule, item.name)
        for item in fields(rule)
        if item.name in always or getattr(rule, item.name) != item.default
    }


@fault.command(cls=Command, short_help="Remove all rules.")
def clear() -> None:
    """Remove all rules."""
    opening.open_lab().clear_faults()
    _say({"cleared": True})


def _say(answer: dict[str, Any]) -> None:
    if current().json:
        output.write_json(answer)
    else:
        output.line(output.console(), "  ".join(f"{key}: {value}" for key, value in answer.items()))
