"""`esxcli system ssh` of 8.x: keys and the configuration of sshd (fact sheet esxcli-and-shell §2.1, §3.6).

The layouts of both lists and the sentences of failures are assumed.
"""

from __future__ import annotations

from pathlib import Path

from ceso_mcp.lab.esxcli_forms import Answer, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused


class SshCommands:
    """Keys are kept where sshd reads them: `/etc/ssh/keys-<user>/authorized_keys` (shell-sshd-T-1)."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        if self._ground.major < 8:
            return []
        user, key = Option("user", "u", required=True), Option("key", "k", required=True)
        return [
            Command("system ssh key list", "List SSH keys.", self._keys, (Option("user", "u"),)),
            Command("system ssh key add", "Add an SSH key.", self._add_key, (user, key), True),
            Command("system ssh key remove", "Remove an SSH key.", self._remove_key, (user, key), True),
            Command(
                "system ssh server config list",
                "List the SSH server configuration.",
                self._config,
                (Option("keyword", "k"),),
            ),
            Command(
                "system ssh server config set",
                "Set the SSH server configuration.",
                self._set_config,
                (Option("keyword", "k", required=True), Option("value", "v", required=True)),
                changes=True,
            ),
        ]

    def _file(self, user: str) -> Path:
        if not any(account.name == user for account in self._ground.host.accounts):
            raise Refused(f"User '{user}' does not exist.")
        return self._ground.root / "etc" / "ssh" / f"keys-{user}" / "authorized_keys"

    def _lines(self, user: str) -> list[str]:
        place = self._file(user)
        return place.read_text("utf-8", "replace").splitlines() if place.is_file() else []

    def _write(self, user: str, lines: list[str]) -> None:
        place = self._file(user)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("".join(f"{line}\n" for line in lines))
        place.chmod(0o600)

    def _keys(self, given: Given) -> Answer:
        users = [given["user"]] if "user" in given else [one.name for one in self._ground.host.accounts]
        rows = [{"User": user, "Key": line} for user in users for line in self._lines(user) if line.strip()]
        return table("SshKey", rows)

    def _add_key(self, given: Given) -> Scalar:
        lines, key = self._lines(given["user"]), given["key"].strip()
        if len(key.split()) < 2:
            raise Refused("The key is not a valid SSH public key.")
        if key in lines:
            raise Refused("The key already exists.")
        self._write(given["user"], [*lines, key])
        return self._ground.done()

    def _remove_key(self, given: Given) -> Scalar:
        lines, key = self._lines(given["user"]), given["key"].strip()
        if key not in lines:
            raise Refused("The key was not found.")
        lines.remove(key)
        self._write(given["user"], lines)
        return self._ground.done()

    def _config(self, given: Given) -> Answer:
        pairs = self._ground.host.sshd
        if "keyword" in given and given["keyword"] not in pairs:
            raise Refused(f"Unknown keyword '{given['keyword']}'.")
        chosen = [given["keyword"]] if "keyword" in given else sorted(pairs)
        return table("SshServerConfig", [{"Key": key, "Value": pairs[key]} for key in chosen])

    def _set_config(self, given: Given) -> Scalar:
        self._ground.host.sshd[given["keyword"].lower()] = given["value"]
        return self._ground.done()
