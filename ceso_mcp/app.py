"""Ceso: the one door to everything. Surfaces translate to and from it and decide nothing.

`answer(query)` · `preview(change)` → a token · `confirm(token)` → a job, which a worker performs. The
plan is made twice from the same stored request, at preview and right before it runs, and must come
out the same, byte for byte.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from ceso_mcp import catalogue
from ceso_mcp.addresses.actions import lease_name
from ceso_mcp.addresses.backends import AddressBook, DnsProvider
from ceso_mcp.audit import Actor, AuditLog
from ceso_mcp.config import Config, DnsSection, private_directory, state_root
from ceso_mcp.confirm import Pending, PendingRequests
from ceso_mcp.desk import RepositoryDesk
from ceso_mcp.errors import CesoError, ConfigFault, Refused, TokenFault
from ceso_mcp.extract_desk import ExtractDesk
from ceso_mcp.fact import Fixed
from ceso_mcp.gather import HostFacts
from ceso_mcp.home import expanded
from ceso_mcp.ipam import Ipam
from ceso_mcp.jobs import Job, Jobs, Spawn, spawn_worker
from ceso_mcp.journal import Journal
from ceso_mcp.operation import Answer, Change, Operation, Query, parse_arguments
from ceso_mcp.plan import Plan
from ceso_mcp.pool_desk import PoolDesk
from ceso_mcp.ports import Runner
from ceso_mcp.preview import Preview, preview_of
from ceso_mcp.redact import Redactor
from ceso_mcp.repository_access import RepositoryAccess
from ceso_mcp.run_desk import RunDesk
from ceso_mcp.text import Secret

__all__ = ["Ceso", "Consent", "parse_arguments"]

Progress = Callable[[str, float | None], None]
Consent = Literal["terminal", "dialog", "token"]
LEASE_GRACE_S = 120.0
"""How much longer than its token a preview keeps its addresses: a confirmed run has to come to hold them."""
HOSTD_PATIENCE_S = 20.0
"""How long somebody who asks waits for hostd to come back from a restart."""


class Ceso:
    """One host, one configuration. Touches no host before the first question to it."""

    def __init__(self, config: Config, *, runner: Runner | None = None, spawn: Spawn = spawn_worker) -> None:
        self.config = config
        self._spawn = spawn
        self.redactor = Redactor()
        self.state = private_directory(config.state_dir or state_root())
        self.audit = AuditLog(self.state / "audit", self.redactor)
        self._runner = runner
        self._pending: PendingRequests | None = None
        self._jobs: Jobs | None = None
        self._journal: Journal | None = None
        self._ipam: Ipam | None = None
        self._host_lock = asyncio.Lock()

    @property
    def jobs(self) -> Jobs:
        if self._jobs is None:
            self._jobs = Jobs(self.state / "jobs", self._spawn)
        return self._jobs

    @property
    def journal(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(self.state / "jobs")
        return self._journal

    @property
    def pending(self) -> PendingRequests:
        if self._pending is None:
            self._pending = PendingRequests(private_directory(self.state / "pending"))
        return self._pending

    @property
    def runner(self) -> Runner:
        if self._runner is None:
            from ceso_mcp.ssh import HostConnection

            self._runner = HostConnection(self.config.host)
        return self._runner

    async def close(self) -> None:
        close = getattr(self._runner, "close", None)
        if close is not None:
            await close()

    def host_identity(self) -> str:
        """What a token is bound to: address, user and pinned keys of the host."""
        host = self.config.host
        text = "\n".join((f"{host.user}@{host.address}:{host.port}", *sorted(host.host_keys)))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    # -- reading -----------------------------------------------------------------------------

    async def answer(self, query: Query, actor: Actor) -> Answer:
        """The answer to `query`; recorded by name and arguments."""
        self._require_allowed(type(query))
        arguments = query.model_dump(mode="json", exclude_defaults=True)
        self.audit.record("query", actor, operation=query.operation_name(), arguments=arguments)
        desk = self.desk()
        try:
            return await query.answer(self._facts(desk, _draw()))
        finally:
            await desk.close()

    # -- changing: preview and confirm ----------------------------------------------------------

    async def preview(self, change: Change, actor: Actor) -> Preview:
        """Plan `change` on the host as it is and store the request; nothing is changed."""
        self._require_allowed(type(change))
        fixed = _draw()
        try:
            plan = await self.plan(change, fixed)
        except CesoError:
            if self._ipam is not None:  # what it had leased by then is free for the next preview
                await asyncio.to_thread(self._ipam.give_back, lease_name(fixed.seed))
            raise
        token, pending = self.store(change, plan, fixed)
        self.audit.record(
            "preview",
            actor,
            fixed.run_id,
            operation=change.operation_name(),
            arguments=pending.arguments,
            digest=pending.digest,
            lines=pending.lines,
        )
        preview = preview_of(change, plan, pending, token, self._needs_operator(pending))
        if not change.settles_runs:
            warnings = [*preview.warnings, *await self._unsettled()]
            preview = preview.model_copy(update={"warnings": warnings})
        return preview

    async def _unsettled(self) -> list[str]:
        """What a reader of any preview should know of runs that stopped half-way on this host."""
        dead = (await self._runs().unfinished()).dead
        return [f"run {run.run} ({run.title}) stopped half-way; `ceso recover` settles it" for run in dead]

    def look(self, token: str) -> Pending:
        """The request behind `token`, which could run now; raises TokenFault."""
        return self.pending.look(token, host=self.host_identity())

    def approve(self, token: str, actor: Actor) -> Pending:
        """The operator's yes to a request that a model wants to run."""
        pending = self.pending.approve(token, host=self.host_identity())
        self.audit.record("approved", actor, pending.seed_hex[:8], digest=pending.digest)
        return pending

    def confirm(self, token: str, actor: Actor, *, consent: Consent) -> str:
        """Use up `token` and start its job; returns the job's id.

        `consent` says who agreed and how: "terminal" (a person at the CLI), "dialog" (a person in the
        client's dialog) or "token" (nobody but the bearer). A request that needs more, by the
        operator's policy, is refused with `not_approved`, token unspent.
        """
        pending = self.look(token)
        self._require_allowed(catalogue.operation(pending.operation))
        if not pending.approved and not self._suffices(consent, pending):
            raise TokenFault(
                "a person has not agreed to this yet",
                code="not_approved",
                hint="ask the operator to look at it and run: ceso approve <token>; then confirm again",
            )
        self.audit.record("consent", actor, pending.seed_hex[:8], how=consent, digest=pending.digest)
        pending = self.pending.take(token, host=self.host_identity())
        request = {
            "pending": {name: getattr(pending, name) for name in pending.__dataclass_fields__},
            "actor": {"surface": actor.surface, "client": actor.client, "call_id": actor.call_id},
        }
        try:
            return self.jobs.start(pending.operation, pending.title, request, self._environment())
        except ConfigFault:
            self.pending.give_back(token)
            raise

    def start_query(self, query: Query, actor: Actor) -> str:
        """Run a long query as a job; returns the job's id."""
        self._require_allowed(type(query))
        request = {
            "query": query.operation_name(),
            "arguments": query.model_dump(mode="json", exclude_defaults=True),
            "actor": {"surface": actor.surface, "client": actor.client, "call_id": actor.call_id},
        }
        return self.jobs.start(query.operation_name(), query.title, request, self._environment())

    async def wait(self, job_id: str, seconds: float, progress: Progress | None = None) -> Job:
        """The job, once it has ended or `seconds` have passed."""
        limit = time.monotonic() + seconds
        pause, told = 0.03, None
        while True:
            job = self.jobs.get(job_id)
            if job.ended or time.monotonic() >= limit:
                return job
            if progress is not None and (job.message, job.percent) != told:
                told = (job.message, job.percent)
                progress(job.message, job.percent)
            await asyncio.sleep(pause)
            pause = min(pause * 1.4, 0.5)

    # -- planning, here and in the worker -----------------------------------------------------------

    def desk(self) -> RepositoryDesk:
        """The side of one plan that happens on this machine."""
        access = RepositoryAccess(self.config.backup, self.redactor, self.state, self.config.host)
        folder = self.config.backup.extract_dir
        extracting = ExtractDesk(access, self.state / "extracted" if folder is None else expanded(folder))
        lease_s = self.config.consent.token_minutes * 60 + LEASE_GRACE_S
        pools = PoolDesk(self._book, self.config.dns, _dns_provider, lease_s)
        return RepositoryDesk(access, self._runs(), extracting, pools)

    def _book(self) -> AddressBook:
        if self._ipam is None:
            self._ipam = Ipam(self.state / "addresses", self.host_identity())
        return self._ipam

    def _facts(self, desk: RepositoryDesk, fixed: Fixed) -> HostFacts:
        patience_s = min(HOSTD_PATIENCE_S, self.config.host.patience_s)
        return HostFacts(self.runner, desk, fixed, hostd_patience_s=patience_s)

    def _runs(self) -> RunDesk:
        return RunDesk(
            lambda: self.journal,
            lambda: self.jobs,
            self.host_identity(),
            self.wait,
            self.config.host.settle_s,
        )

    async def plan(self, change: Change, fixed: Fixed, desk: RepositoryDesk | None = None) -> Plan:
        """The plan of `change` on the host as it is now, with time and chance as drawn in `fixed`."""
        own = desk is None
        desk = desk or self.desk()
        try:
            plan = await change.plan(self._facts(desk, fixed))
        finally:
            if own:
                await desk.close()
        for step in plan.steps:
            for part in step.stdin.parts if step.stdin is not None else ():
                if isinstance(part, Secret):
                    self.redactor.learn(part.value)
        if plan.destructive and not change.may_destroy:
            raise AssertionError(f"{change.operation_name()} destroys, but does not say that it may")
        return plan

    def store(self, change: Change, plan: Plan, fixed: Fixed) -> tuple[str, Pending]:
        """Keep a planned request until it is confirmed; returns its token too."""
        now = time.time()
        pending = Pending(
            operation=change.operation_name(),
            arguments=change.model_dump(mode="json", exclude_defaults=True),
            digest=plan.digest(),
            host=self.host_identity(),
            now=fixed.now,
            seed_hex=fixed.seed.hex(),
            lines=plan.lines(),
            title=plan.title,
            destructive=plan.destructive,
            created_s=now,
            expires_s=now + self.config.consent.token_minutes * 60,
            touches=list(plan.touches),
            warnings=list(plan.warnings),
            lost=[f"step {n}: {step.why}" for n, step in enumerate(plan.steps, 1) if step.destroys],
            fed=[n for n, step in enumerate(plan.steps, 1) if step.stdin or step.feed],
        )
        return self.pending.add(pending), pending

    def _needs_operator(self, pending: Pending) -> bool:
        policy = self.config.consent.policy
        return policy in ("operator", "dialog") or (policy == "auto" and pending.destructive)

    def _suffices(self, consent: Consent, pending: Pending) -> bool:
        """Whether this kind of consent is enough under the operator's policy."""
        if consent == "terminal":
            return True
        if consent == "dialog":
            return self.config.consent.policy != "operator"
        return not self._needs_operator(pending)

    def _require_allowed(self, model: type[Operation]) -> None:
        settings = self.config.operations
        if settings.allow and model.operation_name() not in settings.allow:
            raise Refused(f"{model.operation_name()} is not allowed here", code="not_allowed")
        if settings.read_only and not issubclass(model, Query):
            raise Refused("ceso is in read-only mode here", code="read_only")

    def _environment(self) -> dict[str, str]:
        return {"CESO_LAB": "1"} if self.config.lab else {"CESO_LAB": ""}


def _dns_provider(settings: DnsSection) -> DnsProvider:
    from ceso_mcp.dynamic_dns import provider

    return provider(settings)


def _draw() -> Fixed:
    return Fixed(datetime.now(UTC).replace(microsecond=0).isoformat(), secrets.token_bytes(32))
