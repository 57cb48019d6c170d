"""How the backups of a repository stand: manifests with their notes, by VM, and what stays of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ceso_mcp.backup.manifest import Manifest
from ceso_mcp.backup.notes import Drill, Verification
from ceso_mcp.backup.retention import FUTURE, Candidate, State, Verdict, decide
from ceso_mcp.backup.retention_policy import Policy
from ceso_mcp.backup.signature import UNSIGNED, Signature
from ceso_mcp.errors import Refused


@dataclass(frozen=True, slots=True)
class Kept:
    """A listed backup and its notes. `protected` is the reason given, None if it is not protected.

    `accepted` is whether its signature lets it be restored here: one that is not counts as damaged, so that
    nobody who can write to the storage can push the others out of the retention.
    """

    manifest: Manifest
    protected: str | None = None
    verification: Verification | None = None
    drill: Drill | None = None
    signature: Signature = UNSIGNED
    accepted: bool = True

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def verified(self) -> datetime | None:
        """When every byte of it was last read and right, by verifying or by a drill that brought it up,
        unless damage is known.
        """
        if self.state == "damaged":
            return None
        times = [None if self.verification is None else self.verification.verified]
        if self.drill is not None and self.drill.state != "failed":
            times.append(self.drill.time)
        return max((time for time in times if time is not None), default=None)

    @property
    def state(self) -> State:
        if not self.accepted or (self.verification is not None and self.verification.damaged):
            return "damaged"
        return self.manifest.state

    def candidate(self) -> Candidate:
        return Candidate(
            self.id,
            self.manifest.created,
            self.state,
            self.verified is not None,
            self.protected is not None,
        )


@dataclass(frozen=True, slots=True)
class Group:
    """The backups of one VM, newest first. `vm_id` is its identity; `name` what it was called last."""

    vm_id: str
    backups: tuple[Kept, ...]

    @property
    def name(self) -> str:
        return self.backups[0].manifest.vm.name

    @property
    def uuid_bios(self) -> str:
        return self.backups[0].manifest.vm.uuid_bios

    def newest(self, now: datetime) -> Kept | None:
        """The newest complete backup whose time can be believed."""
        return next(
            (b for b in self.backups if b.state == "complete" and b.manifest.created <= now + FUTURE), None
        )

    def last_drill(self) -> Drill | None:
        """The newest drill of any of its backups."""
        drills = [backup.drill for backup in self.backups if backup.drill is not None]
        return max(drills, key=lambda drill: drill.time, default=None)

    def verdict(self, policy: Policy, now: datetime) -> Verdict:
        return decide(policy, (backup.candidate() for backup in self.backups), now)


@dataclass(frozen=True, slots=True)
class Standing:
    """All listed backups, newest first; `damaged` are (id, reason) of those with unreadable manifests.

    `policy` is the repository's own, None if none was ever set.
    """

    repository: str
    backups: tuple[Kept, ...]
    damaged: tuple[tuple[str, str], ...] = ()
    policy: Policy | None = None

    def groups(self) -> tuple[Group, ...]:
        """One group for each VM identity, by name."""
        found: dict[str, list[Kept]] = {}
        for backup in self.backups:
            found.setdefault(backup.manifest.backup_id.vm_id, []).append(backup)
        groups = [Group(vm_id, tuple(backups)) for vm_id, backups in found.items()]
        return tuple(sorted(groups, key=lambda group: (group.name, group.vm_id)))

    def group_of(self, vm: str) -> Group:
        """The group of the VM with this name, BIOS UUID or id; raises Refused if not exactly one."""
        found = [g for g in self.groups() if vm in (g.name, g.vm_id, g.uuid_bios)]
        if not found:
            raise Refused("no backup is of a VM of that name or id", code="no_such_backup")
        if len(found) > 1:
            raise Refused(
                f"{len(found)} VMs of that name have backups: {', '.join(g.vm_id for g in found)}",
                code="vm_ambiguous",
                hint="give the id instead of the name",
            )
        return found[0]

    def named(self, backup_id: str) -> Kept:
        """The listed backup of that id; raises Refused `no_such_backup`."""
        for backup in self.backups:
            if backup.id == backup_id:
                return backup
        raise Refused("there is no backup of that id", code="no_such_backup", hint="see list_backups")

    def digest(self, vm_ids: Iterable[str]) -> str:
        """sha256, hex, over what a decision about these VMs' backups rests on, the policy included."""
        wanted = set(vm_ids)
        lines = [self.policy.words() if self.policy else "-"]
        lines += [
            f"{b.id} {b.state} {int(b.verified is not None)} {int(b.protected is not None)}"
            for b in sorted(self.backups, key=lambda backup: backup.id)
            if b.manifest.backup_id.vm_id in wanted
        ]
        lines += [f"{entry} damaged" for entry, _ in sorted(self.damaged) if entry.split("/")[0] in wanted]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
