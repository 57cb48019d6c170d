"""The `esxcli` program: its options, its failures, and the commands it knows (fact sheet §1)."""

from __future__ import annotations

from collections.abc import Callable

from ceso_mcp.lab.esxcli_forms import FORMS, Answer, Scalar
from ceso_mcp.lab.result import Result

Found = Answer | Scalar

HELP = """Usage: esxcli [options] {namespace}+ {cmd} [cmd options]

Options:
  --formatter=FORMATTER
                        Override the formatter to use for a given command. \
Available formatters: xml, csv, keyvalue.
  --screen-width=SCREENWIDTH
                        Use the specified screen width when formatting text.
  --debug               Enable debug or internal use options.
  --log-verbose         Enable verbose logging.
  -?, --help            Display usage information.

Available Namespaces:
"""


class Refused(Exception):
    """The command's own sentence: stdout, exit 1, no "Error:" before it (§1.4)."""


class Esxcli:
    """Commands by their words, each with the options it takes (short and long to one name)."""

    def __init__(self) -> None:
        self._commands: dict[str, tuple[Callable[[dict[str, str]], Found], dict[str, str], bool]] = {}
        self._required: dict[str, tuple[str, ...]] = {}

    def add(
        self,
        words: str,
        command: Callable[[dict[str, str]], Found],
        options: dict[str, str] | None = None,
        changes: bool = False,
        required: tuple[str, ...] = (),
    ) -> None:
        self._commands[words] = (command, options or {}, changes)
        self._required[words] = required

    def names(self) -> list[str]:
        return sorted(self._commands)

    def run(self, arguments: list[str]) -> Result:
        """Everything goes to stdout, failures included; exit 0 or 1 (§1.3)."""
        formatter, debug, at = "", False, 0
        while at < len(arguments) and arguments[at].startswith("-"):
            option, _, value = arguments[at].partition("=")
            if option in ("--help", "-?"):
                return Result(self._help([]))
            if option in ("--formatter", "--screen-width", "--format-param") and not value:
                at += 1
                value = arguments[at] if at < len(arguments) else ""
            if option == "--formatter":
                formatter = value
            elif option == "--debug":
                debug = True
            elif option not in ("--screen-width", "--format-param", "--log-verbose"):
                return Result(f"Error: Invalid option {option}\n\n{self._help([])}", exit=1)
            at += 1
        if formatter not in FORMS or (formatter == "json" and not debug):
            return Result(f"Unable to find requested formatter: {formatter}\n", exit=1)
        words: list[str] = []
        while at < len(arguments) and not arguments[at].startswith("-"):
            words.append(arguments[at])
            at += 1
        return self._command(words, arguments[at:], formatter)

    def _command(self, words: list[str], rest: list[str], formatter: str) -> Result:
        name = " ".join(words)
        if name not in self._commands:
            below = any(known.startswith(f"{name} ") for known in self._commands) or not words
            if below:
                return Result(self._help(words))
            return Result(f"Error: Unknown command or namespace {name}\n", exit=1)
        command, options, changes = self._commands[name]
        if "--help" in rest or "-?" in rest:
            return Result(self._usage(name))
        given: dict[str, str] = {}
        at = 0
        while at < len(rest):
            option, equals, value = rest[at].partition("=")
            if option not in options:
                return Result(f"Error: Invalid option {option}\n\n{self._usage(name)}", exit=1)
            if not equals:
                at += 1
                value = rest[at] if at < len(rest) else ""
            given[options[option]] = value
            at += 1
        missing = [name for name in self._required[name] if name not in given]
        if missing:
            spelled = ["|".join(word for word in options if options[word] == item) for item in missing]
            lines = "\n       ".join(f"Missing required parameter {words}" for words in spelled)
            return Result(f"Error: {lines}\n\n{self._usage(name)}", exit=1)
        try:
            found = command(given)
        except Refused as refused:
            return Result(f"{refused}\n", exit=1)
        if changes and formatter == "":
            return Result(changed=True)
        return Result(FORMS[formatter](found), changed=changes)

    def _help(self, words: list[str]) -> str:
        prefix = "".join(f"{word} " for word in words)
        spaces: set[str] = set()
        commands: set[str] = set()
        for known in self._commands:
            if known.startswith(prefix):
                first, blank, _ = known.removeprefix(prefix).partition(" ")
                (spaces if blank else commands).add(first)
        text = HELP if not words else f"Usage: esxcli {prefix.strip()} {{cmd}} [cmd options]\n\n"
        if words and spaces:
            text += "Available Namespaces:\n"
        text += "".join(f"  {word:<20}  \n".rstrip() + "\n" for word in sorted(spaces))
        if commands:
            text += ("\n" if spaces else "") + "Available Commands:\n"
            text += "".join(f"  {word}\n" for word in sorted(commands))
        return text

    def _usage(self, name: str) -> str:
        last = name.rpartition(" ")[2]
        options = "".join(f"  {option}\n" for option in self._commands[name][1])
        return f"Usage: esxcli {name} [cmd options]\n\nDescription:\n  {last}\n\nCmd options:\n{options}"
