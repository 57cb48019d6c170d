"""Telling clients that resources have changed, on both eras, and work that outlives a request."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.server import Server
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourcesListChanged, ResourceUpdated

from ceso_mcp.surfaces.mcp.caller import Caller

log = logging.getLogger("ceso.mcp")
_PEERS = 64


class _LegacyPeer:
    """A client of the handshake era and the resources it subscribed to."""

    def __init__(self, session: ServerSession) -> None:
        self.session = session
        self.uris: set[str] = set()


class Announcements:
    """Publishes to listening modern clients through `bus`, and to legacy ones one by one."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self._peers: dict[int, _LegacyPeer] = {}
        self._group: TaskGroup | None = None

    def remember(self, caller: Caller) -> None:
        """Keep a legacy client in mind; a modern one listens if it wants to."""
        if not caller.modern:
            self._peer(caller)

    def subscribe(self, caller: Caller, uri: str) -> None:
        self._peer(caller).uris.add(uri)

    def unsubscribe(self, caller: Caller, uri: str) -> None:
        self._peer(caller).uris.discard(uri)

    async def changed(self, uris: Iterable[str], *, listing: bool) -> None:
        """Say that these resources have changed, and with `listing` the list of them too."""
        uris = list(uris)
        if listing:
            await self.bus.publish(ResourcesListChanged())
            await self._to_peers(lambda peer: peer.session.send_resource_list_changed())
        for uri in uris:
            await self.bus.publish(ResourceUpdated(uri=uri))
            await self._to_peers(_updated(uri))

    def later(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` beside the requests; dropped when the server ends."""
        if self._group is not None:
            self._group.start_soon(_logged, work)

    @contextlib.asynccontextmanager
    async def lifespan(self, server: Server[Any]) -> AsyncIterator[dict[str, Any]]:
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield {}
            finally:
                if self._group is group:
                    self._group = None
                group.cancel_scope.cancel()

    def _peer(self, caller: Caller) -> _LegacyPeer:
        session = caller.context.session
        key = id(session.client_params)  # one object a connection; the session is one a request
        peer = self._peers.get(key)
        if peer is None:
            while len(self._peers) >= _PEERS:
                del self._peers[next(iter(self._peers))]
            peer = self._peers[key] = _LegacyPeer(session)
        peer.session = session
        return peer

    async def _to_peers(self, send: Callable[[_LegacyPeer], Awaitable[None] | None]) -> None:
        for key, peer in list(self._peers.items()):
            try:
                sending = send(peer)
                if sending is not None:
                    await sending
            except Exception:  # a client that left takes nothing from the others
                self._peers.pop(key, None)


def _updated(uri: str) -> Callable[[_LegacyPeer], Awaitable[None] | None]:
    return lambda peer: peer.session.send_resource_updated(uri) if uri in peer.uris else None


async def _logged(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception:
        log.exception("work beside the requests failed")
