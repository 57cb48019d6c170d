"""Reaches a guest from this machine: a TCP connection that is closed again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from ceso_mcp.errors import StepFailed
from ceso_mcp.recipes.proving import ADDRESS, REACHED, ReachGuest

PAUSE_S = 1.0


async def reach(action: ReachGuest, captures: Mapping[str, str]) -> Mapping[str, str]:
    """Connect, again and again within the limit; returns what was reached.

    Raises StepFailed: `guest_refuses` if the address answers and nothing listens, `guest_unreachable` if
    nothing answers.
    """
    address = captures.get(ADDRESS.name, "") if action.address == str(ADDRESS) else action.address
    if not address:
        raise StepFailed("the guest has reported no address to connect to", code="guest_unreachable")
    limit = time.monotonic() + action.limit_s
    said = f"no answer within {action.limit_s:g} s"
    while (left := limit - time.monotonic()) > 0:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, action.port), left)
        except ConnectionRefusedError:
            said = "refused"
        except TimeoutError:
            break
        except OSError as error:
            said = error.strerror or str(error)
        else:
            writer.close()
            return {REACHED.name: f"{address} port {action.port}"}
        await asyncio.sleep(min(PAUSE_S, max(0.0, limit - time.monotonic())))
    if said == "refused":
        raise StepFailed(
            f"{address} answers, but nothing listens on its port {action.port}",
            code="guest_refuses",
            hint="is an SSH server in the template?",
        )
    raise StepFailed(
        f"port {action.port} of {address} cannot be reached from this machine ({said})",
        code="guest_unreachable",
        hint="the guest itself is as asked; look at the route, the portgroup's VLAN and firewalls on the way",
    )
