"""The usage texts of esxcli (esxcli-help-1 to -4, -account-add-help-1, -error-missing-param-1)."""

from __future__ import annotations

from ceso_mcp.lab.esxcli_options import Command, Option

COLUMN = 24
HEAD = """Usage: esxcli [options] {namespace}+ {cmd} [cmd options]

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
# Before 8.x `--version` is listed and `--log-verbose` is not (fact sheet §1.1); its line is assumed.
HEAD_7 = HEAD.replace(
    "  --log-verbose         Enable verbose logging.\n",
    "  --version             Display version information for the script.\n",
)
SECRET = """ (secret)
WARNING: Providing secret values on the command line is insecure because it may be
logged or preserved in history files. Instead, specify this option with no value on
the command line, and enter the value on the supplied prompt."""
# esxcli-help-1 breaks the text of `network` into two lines, whatever the width.
NAMESPACES = {
    "esxcli": "Commands that operate on the esxcli system itself allowing users to get"
    " additional information.",
    "graphics": "VMware graphics commands.",
    "hardware": "VMKernel hardware properties and commands for configuring hardware.",
    "network": "Operations that pertain to the maintenance of networking on an ESX host. This includes a wide"
    " variety of commands to manipulate virtual networking components (vswitch,\n"
    "portgroup, etc) as well as local host IP, DNS and general host networking settings.",
    "software": "Manage the ESXi software image and packages",
    "storage": "VMware storage commands.",
    "system": "VMKernel system properties and commands for configuring properties of the kernel core system"
    " and related system services.",
    "vm": "A small number of operations that allow a user to Control Virtual Machine operations.",
}


def entry(word: str, text: str) -> str:
    """One word with its text at column 24, below it when the word is too long; no trailing blanks."""
    lines = text.split("\n")
    if len(word) > COLUMN - 4:
        lines = ["", *lines]
    first, *rest = lines
    made = [f"  {word:<{COLUMN - 2}}{first}", *(" " * COLUMN + line for line in rest)]
    return "".join(f"{line.rstrip()}\n" for line in made)


def _option(option: Option) -> str:
    word = option.spelled + ("" if option.kind == "flag" else f"=<{option.kind}>")
    text = option.description + (" (required)" if option.required else "") + (SECRET if option.secret else "")
    return entry(word, text)


def of_command(command: Command) -> str:
    last = command.words.rpartition(" ")[2]
    options = "".join(map(_option, command.sorted_options()))
    described = entry(last, command.description)
    return (
        f"Usage: esxcli {command.words} [cmd options]\n\nDescription: \n{described}\nCmd options:\n{options}"
    )


def of_namespace(words: list[str], commands: dict[str, Command], before_8: bool) -> str:
    """What lies below `words`; with none, the head of esxcli itself and the first words."""
    prefix = "".join(f"{word} " for word in words)
    spaces: set[str] = set()
    here: dict[str, str] = {}
    for known, command in commands.items():
        if known.startswith(prefix):
            first, blank, _ = known.removeprefix(prefix).partition(" ")
            if blank:
                spaces.add(first)
            else:
                here[first] = command.description
    parts = []
    if spaces:
        title = "" if not words else "Available Namespaces:\n"
        parts.append(
            title + "".join(entry(word, NAMESPACES.get(prefix + word, "")) for word in sorted(spaces))
        )
    if here:
        parts.append("Available Commands:\n" + "".join(entry(word, here[word]) for word in sorted(here)))
    if not words:
        return (HEAD_7 if before_8 else HEAD) + "\n".join(parts)
    return f"Usage: esxcli {prefix.strip()} {{cmd}} [cmd options]\n\n" + "\n".join(parts)
