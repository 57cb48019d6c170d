"""The `esxcli` program: its own options, its failures, and the commands it knows (fact sheet §1)."""

from __future__ import annotations

from collections.abc import Iterable

from ceso_mcp.lab import esxcli_usage as usage
from ceso_mcp.lab.esxcli_forms import FORMS, Answer, Row, Scalar, Style
from ceso_mcp.lab.esxcli_options import BadOptions, Command, Given, Refused, parse
from ceso_mcp.lab.result import Result

LONG_OPTIONS = ("--formatter", "--screen-width", "--format-param")
FLAGS = ("--debug", "--log-verbose")
LISTING = Command(
    "esxcli command list",
    "List all of the esxcli commands on the system.",
    lambda _: Scalar(""),
)


class Esxcli:
    """The commands of one host. `version` is the host's, like `8.0.3`; it decides how tables are ruled."""

    def __init__(self, version: str = "8.0.3") -> None:
        self._commands: dict[str, Command] = {}
        numbers = tuple(int(word) for word in version.split(".") if word.isdigit())
        self._before_8 = numbers < (8,)
        self._wide_rules = numbers < (7, 0, 2)
        self._version = version
        self.add([Command(LISTING.words, LISTING.description, self._listing)])

    def add(self, commands: Iterable[Command]) -> None:
        self._commands |= {command.words: command for command in commands}

    def names(self) -> list[str]:
        return sorted(self._commands)

    def run(self, arguments: list[str]) -> Result:
        """Everything goes to stdout, failures included; exit 0 or 1 (§1.3)."""
        formatter, debug, at, fields = "", False, 0, ""
        while at < len(arguments) and arguments[at].startswith("-"):
            option, equals, value = arguments[at].partition("=")
            if option in ("--help", "-?"):
                return Result(self._help([]))
            if option == "--version":
                return Result(f"Script 'esxcli' version: {self._version}\n")
            if option not in (*LONG_OPTIONS, *FLAGS):
                return Result(f"Error: Invalid option {option}\n\n{self._help([])}", exit=1)
            if option in LONG_OPTIONS and not equals:
                at += 1
                value = arguments[at] if at < len(arguments) else ""
            if option == "--formatter":
                formatter = value
            elif option == "--debug":
                debug = True
            elif option == "--format-param" and value.startswith("fields="):
                fields = value.removeprefix("fields=").lstrip("=")
            at += 1
        if formatter not in FORMS or (formatter == "json" and not debug):
            return Result(f"Unable to find requested formatter: {formatter}\n", exit=1)
        words: list[str] = []
        while at < len(arguments) and not arguments[at].startswith("-"):
            words.append(arguments[at])
            at += 1
            if " ".join(words) in self._commands:
                break
        chosen = tuple(name for name in fields.split(",") if name)
        return self._command(words, arguments[at:], formatter, Style(self._wide_rules, chosen))

    def _command(self, words: list[str], rest: list[str], formatter: str, style: Style) -> Result:
        name = " ".join(words)
        command = self._commands.get(name)
        if command is None:
            if not words or any(known.startswith(f"{name} ") for known in self._commands):
                return Result(self._help(words))
            return Result(f"Error: Unknown command or namespace {name}\n", exit=1)
        if "--help" in rest or "-?" in rest:
            return Result(usage.of_command(command))
        try:
            found = command.run(parse(command, rest))
        except BadOptions as bad:
            return Result(f"Error: {bad}\n\n{usage.of_command(command)}", exit=1)
        except Refused as refused:
            return Result(f"{refused}\n", exit=1)
        if command.changes and formatter == "" and isinstance(found, Scalar):
            return Result(changed=True)
        return Result(FORMS[formatter](found, style), changed=command.changes)

    def _help(self, words: list[str]) -> str:
        return usage.of_namespace(words, self._commands, self._before_8)

    def _listing(self, _: Given) -> Answer:
        rows: list[Row] = []
        for name in self.names():
            space, _blank, command = name.rpartition(" ")
            rows.append({"Namespace": space.replace(" ", "."), "Command": command})
        return Answer("Command", ("Namespace", "Command"), rows)
