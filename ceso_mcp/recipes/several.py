"""Several VMs in one plan. Each is a part of its own: what stops one leaves those before it as they are."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ceso_mcp.fact import Facts, Fixed
from ceso_mcp.plan import Plan, Step
from ceso_mcp.recipes.copying import CopyWish, Siblings, plan_copy

MOST = 32
"""VMs that one plan makes at most."""


def names_from(name: str, count: int) -> tuple[str, ...]:
    """`count` names that count on from the number at the end of `name`, as wide as it is; else from 1.

    >>> names_from("web08", 3), names_from("db", 2)
    (('web08', 'web09', 'web10'), ('db1', 'db2'))
    """
    if count == 1:
        return (name,)
    found = re.search(r"[0-9]*\Z", name)
    digits = found[0] if found else ""
    stem, first = name.removesuffix(digits) if digits else name, int(digits or "1")
    return tuple(f"{stem}{first + more:0{len(digits)}d}" for more in range(count))


def moved_on(document: Any, by: int) -> Any:
    """Parameters, every static address in them moved on by `by`; raises ValueError beyond the last one."""
    if isinstance(document, dict):
        return {
            name: _address(value, by) if name in ("ipv4", "ipv6") else moved_on(value, by)
            for name, value in document.items()
        }
    if isinstance(document, list | tuple):
        return tuple(moved_on(item, by) for item in document)
    return document


def _address(text: Any, by: int) -> Any:
    if not isinstance(text, str) or ("." not in text and ":" not in text):
        return text  # dhcp, none, or nothing
    address, slash, length = text.strip().partition("/")
    return f"{ipaddress.ip_address(address) + by}{slash}{length}"


@dataclass(frozen=True, slots=True)
class _OwnChance:
    """The same facts with other chance: what is drawn for one VM is not drawn for the next one."""

    facts: Facts
    name: str

    @property
    def fixed(self) -> Fixed:
        return self.facts.fixed.for_part(self.name)

    async def read(self, *facts: Any) -> Any:
        return await self.facts.read(*facts)


async def plan_several(facts: Facts, wishes: Sequence[CopyWish], title: str) -> Plan:
    """A plan that makes the VMs one after the other, and then waits for all of them."""
    plans: dict[str, Plan] = {}
    siblings = Siblings()
    for wish in wishes:
        plan = await plan_copy(_OwnChance(facts, wish.name), wish, title, siblings)
        plans[f"VM {wish.name}"] = plan
        siblings = siblings.and_one(plan)
    first = next(iter(plans.values())).estimate
    free = first.free_bytes_before
    return Plan(
        title=title,
        steps=(*_steps(plans, made=True), *_steps(plans, made=False)),
        touches=tuple(thing for plan in plans.values() for thing in plan.touches),
        warnings=tuple(dict.fromkeys(text for plan in plans.values() for text in plan.warnings)),
        before_after=tuple(
            (f"{part}: {what}" if what != part else part, before, after)
            for part, plan in plans.items()
            for what, before, after in plan.before_after
        ),
        estimate=replace(
            first,
            copy_bytes=siblings.copied_bytes,
            free_bytes_after=None if free is None else free - siblings.copied_bytes,
        ),
        outcome={"vms": tuple(wish.name for wish in wishes)},
        parts={part: plan.outcome for part, plan in plans.items()},
    )


def _steps(plans: dict[str, Plan], *, made: bool) -> list[Step]:
    """The steps up to the one that completes each plan, or those after it."""
    found: list[Step] = []
    for part, plan in plans.items():
        border = 1 + next(number for number, step in enumerate(plan.steps) if step.completes)
        found += [replace(step, part=part) for step in (plan.steps[:border] if made else plan.steps[border:])]
    return found
