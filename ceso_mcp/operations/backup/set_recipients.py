"""Seal new backups to other keys."""

from __future__ import annotations

from typing import ClassVar

from ceso_mcp.backup.keeping import WriteRecipients
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Repository
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step


class SetRecipients(Change):
    """Seal new backups to the recipients that the configuration names now, instead of the former ones.

    Backups that are there stay sealed to the former recipients. The next backup of each VM reads
    everything once, because the new recipients could not open what it would share with older ones.
    Does not ask the host.
    """

    title: ClassVar[str] = "Change the recipients"
    toolset: ClassVar[str] = "backup"

    async def plan(self, facts: Facts) -> Plan:
        state = await facts.read(Repository())
        if not state.exists:
            raise Refused(
                f"there is no repository at {state.path} yet",
                code="no_repository",
                hint="the first backup makes it, sealed to the configured recipients",
            )
        if state.as_configured:
            raise Refused(
                f"the repository {state.path} is sealed to the configured recipients already",
                code="nothing_to_do",
            )
        kinds = [_kinds(keys) for keys in (state.sealed_to, state.configured)]
        if kinds[0] != kinds[1]:
            raise Refused(
                f"the repository {state.path} is {kinds[0]} and the configuration asks for {kinds[1]}",
                code="settings_differ",
                hint="a repository is sealed in one way from its beginning; make another one",
            )
        action = WriteRecipients(state.path, state.sealed_to, state.configured)
        return Plan(
            title="change the recipients of new backups",
            steps=(Step("write the recipients", here=action, completes=True),),
            touches=(f"repository {state.path}: ceso-repo.json",),
            warnings=(
                "Backups that are there stay sealed to the former recipients, whose keys still open them.",
                "The next backup of each VM is a full one.",
                *(
                    ()
                    if state.provable
                    else ("There is no private key here that could prove that new backups can be opened.",)
                ),
            ),
            before_after=(("recipients", ", ".join(state.sealed_to), ", ".join(state.configured)),),
            outcome={"repository": state.path, "recipients": len(state.configured)},
        )


def _kinds(keys: tuple[str, ...]) -> str:
    """How what goes to these keys is sealed, for people."""
    if not keys:
        return "not encrypted"
    return "sealed with OpenPGP" if keys[0].startswith("openpgp:") else "sealed with age"
