"""`esxcli system settings advanced` (fact sheet esxcli-and-shell §2.1); sentences of failures are assumed."""

from __future__ import annotations

from ceso_mcp.lab import advanced
from ceso_mcp.lab.esxcli_forms import Answer, Row, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, blocks
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused
from ceso_mcp.lab.host_config import Setting

LOW, HIGH = -(1 << 31), (1 << 31) - 1


class AdvancedCommands:
    """Advanced settings: what vim-cmd shows under a dotted name, and what sshd goes by, is the same."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        advanced.fill(ground.world)

    def commands(self) -> list[Command]:
        option = Option("option", "o", required=True)
        modern = self._ground.major >= 8
        more = (Option("impact", "I"), Option("host-specific", "O", "flag")) if modern else ()
        return [
            Command(
                "system settings advanced list",
                "List the advanced options available from the VMkernel.",
                self._list,
                (Option("option", "o"), Option("tree", "t"), Option("delta", "d", "flag")),
            ),
            Command(
                "system settings advanced set",
                "Set the value of an advanced option.",
                self._set,
                (
                    option,
                    Option("int-value", "i", "long"),
                    Option("string-value", "s"),
                    Option("default", "d", "flag"),
                ),
                changes=True,
            ),
            Command(
                "system settings advanced add",
                "Add a user defined advanced option to the /UserVars/ advanced option tree.",
                self._add,
                (
                    option,
                    Option("type", "t", required=True),
                    Option("description", "d", required=True),
                    Option("int-default", "i", "long"),
                    Option("string-default", "s"),
                    Option("max", "M", "long"),
                    Option("min", "m", "long"),
                    Option("hidden", "H", "flag"),
                    *more,
                ),
                changes=True,
            ),
            Command(
                "system settings advanced remove",
                "Remove a user defined advanced option from the /UserVars/ advanced option tree.",
                self._remove,
                (option,),
                changes=True,
            ),
        ]

    def _find(self, path: str) -> Setting:
        for setting in self._ground.host.settings:
            if setting.path == path:
                return setting
        raise Refused(f"Unable to find option {path}")

    def _list(self, given: Given) -> Answer:
        shown = [setting for setting in self._ground.host.settings if not setting.hidden]
        if "option" in given:
            shown = [setting for setting in shown if setting.path == given["option"]]
            if not shown:
                raise Refused(f"Unable to find option {given['option']}")
        if "tree" in given:
            tree = given["tree"].rstrip("/") + "/"
            shown = [setting for setting in shown if setting.path.startswith(tree)]
        if "delta" in given:
            shown = [setting for setting in shown if self._value(setting) != setting.default]
        return blocks("SettingsAdvancedOption", [self._row(setting) for setting in shown])

    def _row(self, setting: Setting) -> Row:
        number, value = isinstance(setting.default, int), self._value(setting)
        row: Row = {
            "Path": setting.path,
            "Type": "integer" if number else "string",
            "Int Value": value if number else 0,
            "Default Int Value": setting.default if number else 0,
            "Min Value": setting.low,
            "Max Value": setting.high,
            "String Value": "" if number else value,
            "Default String Value": "" if number else setting.default,
            "Valid Characters": setting.characters,
            "Description": setting.description,
        }
        if self._ground.major >= 8:
            row |= {"Host Specific": setting.host_specific, "Impact": setting.impact}
        return row

    def _value(self, setting: Setting) -> int | str:
        """The hidden ones are not hostd's."""
        if setting.hidden:
            return setting.value
        return advanced.value(self._ground.world, advanced.dotted(setting.path))

    def _set(self, given: Given) -> Scalar:
        setting = self._find(given["option"])
        number = isinstance(setting.default, int)
        if "default" in given:
            new = setting.default
        elif number and "int-value" in given:
            if not setting.low <= given["int-value"] <= setting.high:
                raise Refused(f"Invalid value {given['int-value']} for option {setting.path}")
            new = given["int-value"]
        elif not number and "string-value" in given:
            new = given["string-value"]
        else:
            raise Refused(f"Option {setting.path} takes an {'int' if number else 'string'} value")
        if setting.hidden:
            setting.value = new
        else:
            advanced.store(self._ground.world, advanced.dotted(setting.path), new)
        return self._ground.done()

    def _add(self, given: Given) -> Scalar:
        """For /UserVars only (fact sheet §2.1)."""
        path, kind = given["option"], given["type"]
        path = path if path.startswith("/") else f"/UserVars/{path}"
        if not path.startswith("/UserVars/"):
            raise Refused("Only options of /UserVars can be added")
        if any(setting.path == path for setting in self._ground.host.settings):
            raise Refused(f"Option {path} already exists")
        if kind not in ("integer", "string"):
            raise Refused(f"Invalid type {kind}")
        first = given.get("int-default", 0) if kind == "integer" else given.get("string-default", "")
        self._ground.host.settings.append(
            Setting(
                path,
                first,
                first,
                given.get("min", LOW if kind == "integer" else 0),
                given.get("max", HIGH if kind == "integer" else 0),
                description=given["description"],
                hidden=given.get("hidden", False),
                host_specific=given.get("host-specific", False),
                impact=given.get("impact", "none"),
                added=True,
            )
        )
        advanced.fill(self._ground.world)
        return self._ground.done()

    def _remove(self, given: Given) -> Scalar:
        setting = self._find(given["option"])
        if not setting.added:
            raise Refused(f"Option {setting.path} is not user defined")
        self._ground.host.settings.remove(setting)
        self._ground.world.vim.advanced.pop(advanced.dotted(setting.path), None)
        return self._ground.done()
