"""`esxcli system settings`, `syslog`, `ssh` and `security` (fact sheet esxcli-and-shell §2.1).

Sentences of commands that fail are assumed where no transcript is named.
"""

from __future__ import annotations

from ceso_mcp.lab.esxcli_forms import Answer, Row, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, block, blocks, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused
from ceso_mcp.lab.host_config import Setting

LOW, HIGH = -(1 << 31), (1 << 31) - 1
# Transcript esxcli-settings-encryption-error-1.
NO_ENCRYPTION = (
    "Unable to change the encryption mode and policy. Verify that the current host configuration can satisfy"
    " the new requirement."
)
LOCK_FAILURES, UNLOCK_TIME = "/Security/AccountLockFailures", "/Security/AccountUnlockTime"


class SettingsCommands:
    """Advanced and kernel settings, syslog, and on 8.x the keys and the configuration of sshd."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

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
            Command(
                "system settings kernel list",
                "List VMkernel kernel settings.",
                self._kernel,
                (Option("option", "o"), Option("delta", "d", "flag")),
            ),
            Command(
                "system settings kernel set",
                "Set a VMKernel setting.",
                self._set_kernel,
                (Option("setting", "s", required=True), Option("value", "v", required=True)),
                changes=True,
            ),
            Command(
                "system settings encryption set",
                "Set the encryption mode and policy.",
                self._encrypt,
                (Option("mode", "m"), Option("require-secure-boot", "s", "bool")),
                changes=True,
            ),
            Command(
                "system syslog config get",
                "Show the current global configuration values.",
                lambda _: block("SyslogConfiguration", dict(self._ground.host.syslog)),
            ),
            Command(
                "system syslog config set",
                "Set the current global configuration values.",
                self._syslog,
                (
                    Option("loghost"),
                    Option("logdir"),
                    Option("logdir-unique", kind="bool"),
                    Option("default-rotate", kind="long"),
                    Option("default-size", kind="long"),
                    Option("default-timeout", kind="long"),
                    Option("check-ssl-certs", kind="bool"),
                ),
                changes=True,
            ),
            Command(
                "system syslog reload",
                "Reload the log daemon to apply any new configuration options.",
                lambda _: self._ground.done(),
                changes=True,
            ),
            Command(
                "system syslog mark",
                "Mark all logs with the specified string",
                lambda _: self._ground.done(),
                (Option("message", "s"),),
                changes=True,
            ),
            Command(
                "system security fips140 ssh get",
                "Get FIPS140 mode of ssh.",
                lambda _: block("Fips140SshGet", {"Enabled": self._ground.host.fips_ssh}),
            ),
            Command(
                "system security fips140 ssh set",
                "Set FIPS140 mode of ssh.",
                self._fips,
                (Option("enable", "e", "bool", required=True),),
                changes=True,
            ),
        ]

    # --- advanced

    def _find(self, path: str) -> Setting:
        for setting in self._ground.host.settings:
            if setting.path == path:
                return setting
        raise Refused(f"Unable to find option {path}")

    def _list(self, given: Given) -> Answer:
        self._from_world()
        shown = [setting for setting in self._ground.host.settings if not setting.hidden]
        if "option" in given:
            shown = [setting for setting in shown if setting.path == given["option"]]
            if not shown:
                raise Refused(f"Unable to find option {given['option']}")
        if "tree" in given:
            tree = given["tree"].rstrip("/") + "/"
            shown = [setting for setting in shown if setting.path.startswith(tree)]
        if "delta" in given:
            shown = [setting for setting in shown if setting.value != setting.default]
        return blocks("SettingsAdvancedOption", [self._row(setting) for setting in shown])

    def _row(self, setting: Setting) -> Row:
        number = isinstance(setting.value, int)
        row: Row = {
            "Path": setting.path,
            "Type": "integer" if number else "string",
            "Int Value": setting.value if number else 0,
            "Default Int Value": setting.default if number else 0,
            "Min Value": setting.low,
            "Max Value": setting.high,
            "String Value": "" if number else setting.value,
            "Default String Value": "" if number else setting.default,
            "Valid Characters": setting.characters,
            "Description": setting.description,
        }
        if self._ground.major >= 8:
            row |= {"Host Specific": setting.host_specific, "Impact": setting.impact}
        return row

    def _set(self, given: Given) -> Scalar:
        setting = self._find(given["option"])
        number = isinstance(setting.value, int)
        if "default" in given:
            setting.value = setting.default
        elif number and "int-value" in given:
            if not setting.low <= given["int-value"] <= setting.high:
                raise Refused(f"Invalid value {given['int-value']} for option {setting.path}")
            setting.value = given["int-value"]
        elif not number and "string-value" in given:
            setting.value = given["string-value"]
        else:
            raise Refused(f"Option {setting.path} takes an {'int' if number else 'string'} value")
        self._to_world(setting)
        return self._ground.done()

    def _from_world(self) -> None:
        """What vim-cmd shows under a dotted name, and what sshd goes by, is the same setting."""
        world = self._ground.world
        for setting in self._ground.host.settings:
            shared = world.vim.advanced.get(_dotted(setting.path))
            if isinstance(shared, int) and isinstance(setting.value, int):
                setting.value = shared
            if setting.path == LOCK_FAILURES:
                setting.value = world.lock_failures
            elif setting.path == UNLOCK_TIME:
                setting.value = int(world.unlock_s)

    def _to_world(self, setting: Setting) -> None:
        world = self._ground.world
        if _dotted(setting.path) in world.vim.advanced:
            world.vim.advanced[_dotted(setting.path)] = setting.value
        if setting.path == LOCK_FAILURES:
            world.lock_failures = int(setting.value)
        elif setting.path == UNLOCK_TIME:
            world.unlock_s = float(setting.value)

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
        return self._ground.done()

    def _remove(self, given: Given) -> Scalar:
        setting = self._find(given["option"])
        if not setting.added:
            raise Refused(f"Option {setting.path} is not user defined")
        self._ground.host.settings.remove(setting)
        return self._ground.done()

    # --- kernel, syslog and the rest

    def _kernel(self, given: Given) -> Answer:
        rows = self._ground.host.kernel
        if "option" in given:
            rows = [row for row in rows if row["Name"] == given["option"]]
            if not rows:
                raise Refused(f"Unable to find kernel setting {given['option']}")
        if "delta" in given:
            rows = [row for row in rows if row["Configured"].upper() != row["Default"].upper()]
        return table("KernelSetting", rows)

    def _set_kernel(self, given: Given) -> Scalar:
        """The runtime value follows at the next boot."""
        for row in self._ground.host.kernel:
            if row["Name"] == given["setting"]:
                row["Configured"] = given["value"].upper() if row["Type"] == "Bool" else given["value"]
                return self._ground.done()
        raise Refused(f"Unable to find kernel setting {given['setting']}")

    def _encrypt(self, _: Given) -> Scalar:
        raise Refused(NO_ENCRYPTION)

    def _syslog(self, given: Given) -> Scalar:
        labels = {
            "loghost": "Remote Host",
            "logdir": "Local Log Output",
            "logdir-unique": "Log To Unique Subdirectory",
            "default-rotate": "Local Logging Default Rotations",
            "default-size": "Local Logging Default Rotation Size",
            "default-timeout": "Default Network Retry Timeout",
            "check-ssl-certs": "Enforce SSLCertificates",
        }
        for name, value in given.items():
            self._ground.host.syslog[labels[name]] = value
        if "logdir" in given:
            self._ground.host.syslog["Local Log Output Is Configured"] = True
        return self._ground.done()

    def _fips(self, given: Given) -> Scalar:
        self._ground.host.fips_ssh = given["enable"]
        return self._ground.done()


def _dotted(path: str) -> str:
    """`/Net/GuestIPHack` as hostd names it."""
    return path.strip("/").replace("/", ".")
