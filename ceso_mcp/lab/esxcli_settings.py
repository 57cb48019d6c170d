"""`esxcli system settings` (not the advanced ones), `syslog`, `security` (fact sheet esxcli-and-shell §2.1).

Sentences of commands that fail are assumed where no transcript is named.
"""

from __future__ import annotations

from ceso_mcp.lab import advanced
from ceso_mcp.lab.esxcli_forms import Answer, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, block, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused

# Transcript esxcli-settings-encryption-error-1.
NO_ENCRYPTION = (
    "Unable to change the encryption mode and policy. Verify that the current host configuration can satisfy"
    " the new requirement."
)


class SettingsCommands:
    """Kernel settings, encryption, syslog and FIPS."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        return [
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
        if "loghost" in given:
            advanced.store(self._ground.world, "Syslog.global.logHost", given["loghost"])
        if "logdir" in given:
            self._ground.host.syslog["Local Log Output Is Configured"] = True
        return self._ground.done()

    def _fips(self, given: Given) -> Scalar:
        self._ground.host.fips_ssh = given["enable"]
        return self._ground.done()
