"""`esxcli network firewall` (fact sheet esxcli-and-shell §2.4, transcripts esxcli-firewall-*).

But for "Already allowed all ip" the sentences of failures are assumed; "Unable to find a ruleset named"
is another imitation's (fact sheet §5).
"""

from __future__ import annotations

from ceso_mcp.lab.esxcli_forms import Answer, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, block, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused
from ceso_mcp.lab.host_config import Ruleset

SPACE = "network firewall"


class FirewallCommands:
    """The firewall as a whole, its rule sets, and the addresses each lets in."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        one, any_one = Option("ruleset-id", "r", required=True), Option("ruleset-id", "r")
        address = Option("ip-address", "i", required=True)
        return [
            Command(f"{SPACE} get", "Get the firewall status.", self._get),
            Command(
                f"{SPACE} set",
                "Set firewall enabled status and default action.",
                self._set,
                (Option("default-action", "d", "bool"), Option("enabled", "e", "bool")),
                changes=True,
            ),
            Command(
                f"{SPACE} refresh",
                "Load ruleset configuration for firewall.",
                lambda _: self._ground.done(),
                changes=True,
            ),
            Command(
                f"{SPACE} load",
                "Load firewall module and ruleset configuration.",
                lambda _: self._load(True),
                changes=True,
            ),
            Command(
                f"{SPACE} unload", "Allow unload firewall module.", lambda _: self._load(False), changes=True
            ),
            Command(f"{SPACE} ruleset list", "List the rulesets in firewall.", self._rulesets, (any_one,)),
            Command(
                f"{SPACE} ruleset set",
                "Set firewall ruleset status (allowedAll flag and enabled status).",
                self._set_ruleset,
                (one, Option("enabled", "e", "bool"), Option("allowed-all", "a", "bool")),
                changes=True,
            ),
            Command(
                f"{SPACE} ruleset rule list",
                "List the rules of each ruleset in firewall.",
                self._rules,
                (any_one,),
            ),
            Command(
                f"{SPACE} ruleset allowedip list",
                "list allowed ip addresses for rulesets.",
                self._allowed,
                (any_one,),
            ),
            Command(
                f"{SPACE} ruleset allowedip add",
                "Add allowed ip address/range to the ruleset ruleset.",
                self._allow,
                (one, address),
                changes=True,
            ),
            Command(
                f"{SPACE} ruleset allowedip remove",
                "Remove allowed ip address/range from the ruleset.",
                self._disallow,
                (one, address),
                changes=True,
            ),
        ]

    def _get(self, _: Given) -> Answer:
        return block("Firewall", dict(self._ground.host.firewall))

    def _set(self, given: Given) -> Scalar:
        firewall = self._ground.host.firewall
        if "default-action" in given:
            firewall["Default Action"] = "PASS" if given["default-action"] else "DROP"
        firewall["Enabled"] = given.get("enabled", firewall["Enabled"])
        return self._ground.done()

    def _load(self, loaded: bool) -> Scalar:
        self._ground.host.firewall["Loaded"] = loaded
        return self._ground.done()

    def _chosen(self, given: Given) -> list[Ruleset]:
        name = given.get("ruleset-id")
        found = [one for one in self._ground.host.rulesets if name in (None, one.name)]
        if name is not None and not found:
            raise Refused(f"Unable to find a ruleset named {name}")
        return found

    def _rulesets(self, given: Given) -> Answer:
        rows = [{"Name": one.name, "Enabled": one.enabled} for one in self._chosen(given)]
        return table("Ruleset", rows)

    def _set_ruleset(self, given: Given) -> Scalar:
        """`-a false` leaves a list that lets nobody in until addresses are added."""
        (ruleset,) = self._chosen(given)
        if "allowed-all" in given:
            everybody = ruleset.allowed == []
            if given["allowed-all"] and everybody:
                raise Refused("Already allowed all ip")
            if given["allowed-all"]:
                ruleset.allowed = []
            elif everybody:
                ruleset.allowed = ["None"]
        ruleset.enabled = given.get("enabled", ruleset.enabled)
        return self._ground.done()

    def _rules(self, given: Given) -> Answer:
        labels = ("Direction", "Protocol", "Port Type", "Port Begin", "Port End")
        rows = [
            {"Ruleset": one.name, **dict(zip(labels, rule, strict=True))}
            for one in self._chosen(given)
            for rule in one.rules
        ]
        return table("FirewallPortRule", rows)

    def _allowed(self, given: Given) -> Answer:
        rows = [
            {"Ruleset": one.name, "Allowed IP Addresses": one.allowed or ["All"]}
            for one in self._chosen(given)
        ]
        return table("FirewallRulesetAllowedip", rows)

    def _allow(self, given: Given) -> Scalar:
        """Addresses can be added only after `-a false`; both sentences are assumed."""
        (ruleset,) = self._chosen(given)
        if not ruleset.allowed:
            raise Refused("Couldn't update allow Ip list when allowed all flag is true")
        if given["ip-address"] in ruleset.allowed:
            raise Refused("Ip address already exist")
        ruleset.allowed = [item for item in ruleset.allowed if item != "None"] + [given["ip-address"]]
        return self._ground.done()

    def _disallow(self, given: Given) -> Scalar:
        (ruleset,) = self._chosen(given)
        if given["ip-address"] not in ruleset.allowed:
            raise Refused("Ip address not found")
        ruleset.allowed.remove(given["ip-address"])
        ruleset.allowed = ruleset.allowed or ["None"]
        return self._ground.done()
