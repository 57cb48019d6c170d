"""`esxcli system`: version, name, clock, maintenance, accounts (fact sheet esxcli-and-shell §2.1).

Sentences of commands that fail are assumed where no transcript is named.
"""

from __future__ import annotations

import time

from ceso_mcp.lab.esxcli_forms import Answer, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, block, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused
from ceso_mcp.lab.host_config import Account
from ceso_mcp.lab.world import NEVER_BOOTED

ROLES = {
    "Admin": "Full access rights",
    "ReadOnly": "See details of objects, but not make changes",
    "NoAccess": "Used for restricting granted access",
}
STAMP = "%Y-%m-%dT%H:%M:%S"


class SystemCommands:
    """The commands on the host as a whole."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        world = self._ground.world
        reason = Option("reason", "r", description="Reason for performing the operation.", required=True)
        delay = Option("delay", "d", "long", "Delay interval in seconds")
        user = Option("id", "i", description='User ID, e.g. "administrator".', required=True)
        secrets = (
            Option("password", "p", description="User password.", secret=True),
            Option(
                "password-confirmation",
                "c",
                description="Password confirmation. Required if password is specified.",
                secret=True,
            ),
        )
        description = Option("description", "d", description="User description, e.g. full name.")
        made = [
            Command("system version get", "Display the product name, version and build.", self._version),
            Command("system hostname get", "Get the host, domain or fully qualified name.", self._hostname),
            Command(
                "system hostname set",
                "This command allows the user to set the hostname, domain name or fully qualified"
                " domain name.",
                self._set_hostname,
                (Option("domain", "d"), Option("fqdn", "f"), Option("host", "H")),
                changes=True,
            ),
            Command("system uuid get", "Get the system UUID.", lambda _: Scalar(world.uuid)),
            Command("system time get", "Display the current system time.", lambda _: Scalar(_clock())),
            Command("hardware clock get", "Display the current hardware clock.", lambda _: Scalar(_clock())),
            Command(
                "system stats uptime get",
                "Display the number of microseconds the system has been running.",
                lambda _: Scalar(int((time.time() - world.booted_at) * 1e6)),
            ),
            Command(
                "system stats installtime get",
                "Display the date and time when this system was first installed.",
                lambda _: Scalar(
                    world.installed_on if "T" in world.installed_on else f"{world.installed_on}T09:00:00"
                ),
            ),
            Command(
                "system maintenanceMode get",
                "Get the maintenance mode state of the system.",
                lambda _: Scalar("Enabled" if world.maintenance else "Disabled"),
            ),
            Command(
                "system maintenanceMode set",
                "Enable or disable the maintenance mode of the system.",
                self._maintain,
                (Option("enable", "e", "bool", required=True), Option("timeout", "t", "long")),
                changes=True,
            ),
            *(
                Command(f"system shutdown {word}", text, self._shut_down, (reason, delay), changes=True)
                for word, text in (("poweroff", "Power off the system."), ("reboot", "Reboot the system."))
            ),
            Command("system account list", "List local user accounts.", self._accounts),
            Command(
                "system account add",
                "Create a new local user account.",
                self._add_account,
                (user, description, *secrets),
                changes=True,
            ),
            Command("system account remove", "Remove a local user.", self._remove_account, (user,), True),
            Command("system permission list", "List permissions defined on the host.", self._permissions),
            Command(
                "system permission set",
                "Set permission for a user or group.",
                self._permit,
                (
                    Option("id", "i", required=True),
                    Option("role", "r", required=True),
                    Option("group", "g", "flag"),
                ),
                changes=True,
            ),
            Command(
                "system permission unset",
                "Remove permission for a user or group.",
                self._forbid,
                (Option("id", "i", required=True), Option("group", "g", "flag")),
                changes=True,
            ),
        ]
        shell = (Option("shell-access", "s", "bool"),) if self._ground.major >= 8 else ()
        options = (user, description, *secrets, *shell)
        made.append(
            Command("system account set", "Modify an existing local user.", self._set_account, options, True)
        )
        return made

    def _version(self, _: Given) -> Answer:
        world = self._ground.world
        return block(
            "VersionGet",
            {
                "Product": "VMware ESXi",
                "Version": world.version,
                "Build": f"Releasebuild-{world.build}",
                "Update": world.update,
                "Patch": world.patch,
            },
        )

    def _hostname(self, _: Given) -> Answer:
        whole = self._ground.world.hostname
        name, _dot, domain = whole.partition(".")
        return block(
            "FullyQualifiedHostName",
            {"Domain Name": domain, "Fully Qualified Domain Name": whole, "Host Name": name},
        )

    def _set_hostname(self, given: Given) -> Scalar:
        """`--fqdn` excludes the others (fact sheet §2.1)."""
        world = self._ground.world
        if not given or ("fqdn" in given and len(given) > 1):
            raise Refused("Specify either the fully qualified domain name or the host and domain names.")
        name, _dot, domain = world.hostname.partition(".")
        whole = f"{given.get('host', name)}.{given.get('domain', domain)}".rstrip(".")
        world.hostname = given.get("fqdn", whole)
        return self._ground.done()

    def _maintain(self, given: Given) -> Scalar:
        world = self._ground.world
        if given["enable"] == world.maintenance:
            raise Refused("Maintenance mode is already " + ("enabled." if world.maintenance else "disabled."))
        if given["enable"] and self._ground.running():
            # A host waits until they are off; like vim-cmd, the lab fails at once (assumed).
            raise Refused("Operation timed out.")
        world.maintenance = given["enable"]
        return self._ground.done()

    def _shut_down(self, given: Given) -> Scalar:
        """VMs that are on lose their power and the uptime begins anew; the connection stays (assumed)."""
        ground = self._ground
        for vm in ground.running():
            ground.power.switch_off(vm)
            vm.booted_at = NEVER_BOOTED
        ground.world.booted_at = time.time()
        return ground.done()

    def _account(self, name: str) -> Account:
        for account in self._ground.host.accounts:
            if account.name == name:
                return account
        raise Refused(f"User '{name}' does not exist.")

    def _accounts(self, _: Given) -> Answer:
        rows = [
            {
                "User ID": account.name,
                "Description": account.description,
                **({"Shell Access": account.shell} if self._ground.major >= 8 else {}),
            }
            for account in self._ground.host.accounts
        ]
        return table("UserAccount", rows)

    def _password(self, given: Given) -> str | None:
        password, again = given.get("password"), given.get("password-confirmation")
        if password != again:
            raise Refused("The password and its confirmation do not match.")
        return None if password is None else str(password)

    def _add_account(self, given: Given) -> Scalar:
        accounts = self._ground.host.accounts
        if any(account.name == given["id"] for account in accounts):
            raise Refused(f"The specified key, name, or identifier '{given['id']}' already exists.")
        password = self._password(given) or ""
        accounts.append(Account(given["id"], given.get("description", ""), password=password))
        return self._ground.done()

    def _set_account(self, given: Given) -> Scalar:
        account = self._account(given["id"])
        password = self._password(given)
        if password is not None:
            account.password = password
        account.description = given.get("description", account.description)
        account.shell = given.get("shell-access", account.shell)
        return self._ground.done()

    def _remove_account(self, given: Given) -> Scalar:
        account = self._account(given["id"])
        if account.name in ("root", "dcui", "vpxuser"):
            raise Refused("Access to resource settings on the host is restricted.")
        self._ground.host.accounts.remove(account)
        return self._ground.done()

    def _permissions(self, _: Given) -> Answer:
        """Ordered by name (esxcli-permission-list-1)."""
        rows = [
            {
                "Principal": account.name,
                "Is Group": False,
                "Role": account.role,
                "Role Description": ROLES[account.role],
            }
            for account in sorted(self._ground.host.accounts, key=lambda account: account.name)
            if account.role
        ]
        return table("Permission", rows)

    def _permit(self, given: Given) -> Scalar:
        if given["role"] not in ROLES:
            raise Refused(f"Unknown role '{given['role']}'.")
        self._account(given["id"]).role = given["role"]
        return self._ground.done()

    def _forbid(self, given: Given) -> Scalar:
        self._account(given["id"]).role = ""
        return self._ground.done()


def _clock() -> str:
    return time.strftime(f"{STAMP}Z", time.gmtime())
