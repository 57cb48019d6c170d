"""A connection to an SFTP server, behind blocking calls: made when first used, made anew when lost.

asyncssh lives in an event loop; a target is called from several threads. So each link has a loop in
a thread of its own. Work that a lost connection interrupted is begun again from its beginning within
the budget, so all work that is given to `call` must bear that.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.host_keys import algorithms_of, words_of

T = TypeVar("T")
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes128-ctr")
_LOST = (
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    asyncssh.DisconnectError,
    asyncssh.ChannelOpenError,
    OSError,
    TimeoutError,
)


@dataclass(frozen=True)
class SftpLogin:
    """Where to log in, and how. `password` is only asked for when it is needed."""

    title: str
    host: str
    port: int
    user: str | None
    host_keys: tuple[str, ...]
    key_file: Path | None
    password: Callable[[], str | None]
    connect_timeout_s: float = 15.0
    patience_s: float = 60.0
    require_fsync: bool = True


class Lost(Exception):
    """The connection broke; whether the work under way was done is not known."""


class SftpLink:
    """Raises RepositoryFault `repository_login`, `repository_host_key`, `repository_unfit` (each once and
    for all: nothing is tried again), or `repository_gone` once the budget is used up."""

    def __init__(self, login: SftpLogin) -> None:
        self.login = login
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._opening: asyncio.Lock | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._was_there = False
        self._refused: RepositoryFault | None = None

    def call(self, work: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
        """The result of `work`, which is begun anew after a lost connection."""
        return self._in_loop(self._patiently(work))

    def close(self) -> None:
        with self._guard:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None:
            return
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._drop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        with self._guard:
            if self._loop is None:
                self._loop = loop = asyncio.new_event_loop()
                self._opening = None
                self._thread = threading.Thread(target=_serve, args=(loop,), name="ceso-sftp", daemon=True)
                self._thread.start()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _patiently(self, work: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
        until: float | None = None
        pause_s = 0.2
        while True:
            sftp: asyncssh.SFTPClient | None = None
            try:
                sftp = await self._connected()
                return await work(sftp)
            except _LOST as error:
                if sftp is not None and sftp is self._sftp:
                    await self._drop()
                now = time.monotonic()
                if until is None:
                    # Who was never reached is not waited for: it is more likely a wrong name than a pause.
                    until = now + (self.login.patience_s if self._was_there else 0)
                if now + pause_s > until:
                    raise RepositoryFault(
                        f"the server of the repository {self.login.title} is not there: {words_of(error)}",
                        code="repository_gone",
                        hint="see whether the server is up and can be reached"
                        + ("" if self._was_there else ", and has a host key of the pinned kind"),
                    ) from Lost()
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, 5)

    async def _connected(self) -> asyncssh.SFTPClient:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._refused is not None:
                raise self._refused
            if self._sftp is None:
                await self._drop()
                self._connection = await self._connect()
                try:
                    async with asyncio.timeout(self.login.connect_timeout_s):
                        sftp = await self._connection.start_sftp_client()
                    self._require_fit(sftp)
                except (asyncssh.SFTPBadMessage, asyncssh.SFTPFailure, asyncssh.SFTPOpUnsupported) as error:
                    raise self._refusal(
                        "repository_unfit",
                        f"it does not serve SFTP ({words_of(error)})",
                        "see its SSH server",
                    ) from None
                except BaseException:
                    await self._drop()
                    raise
                self._sftp, self._was_there = sftp, True
            return self._sftp

    async def _connect(self) -> asyncssh.SSHClientConnection:
        login = self.login
        try:
            pinned = [asyncssh.import_public_key(line) for line in login.host_keys]
            key = None if login.key_file is None else asyncssh.read_private_key(str(login.key_file))
        except (asyncssh.KeyImportError, OSError) as error:
            raise self._refusal(
                "repository_login",
                f"a key cannot be read ({words_of(error)})",
                "see the keys in the configuration",
            ) from None
        options: dict[str, Any] = {} if login.user is None else {"username": login.user}
        password = await asyncio.to_thread(login.password)
        if password is not None:
            options["password"] = password
        try:
            return await asyncssh.connect(
                login.host,
                login.port,
                client_keys=[key] if key is not None else None,
                known_hosts=(pinned, [], []),
                server_host_key_algs=algorithms_of(pinned),
                encryption_algs=list(CIPHERS),
                compression_algs=None,
                config=None,
                agent_path=None,
                keepalive_interval=15,
                keepalive_count_max=3,
                connect_timeout=login.connect_timeout_s,
                login_timeout=login.connect_timeout_s,
                **options,
            )
        except asyncssh.HostKeyNotVerifiable:
            raise self._refusal(
                "repository_host_key",
                "its host key is not the pinned one",
                "if the server was reinstalled, check its key there and pin it anew",
            ) from None
        except asyncssh.KeyExchangeFailed as error:
            raise self._refusal(
                "repository_host_key",
                f"no host key or cipher fits ({words_of(error)})",
                "see whether the pinned host keys are of a kind that the server has",
            ) from None
        except asyncssh.PermissionDenied:
            raise self._refusal(
                "repository_login", "it refused the login", "see user, key and password in the configuration"
            ) from None

    def _require_fit(self, sftp: asyncssh.SFTPClient) -> None:
        # There is no public question for these; a server without them cannot replace a file in one go.
        handler = sftp._handler
        missing = [] if handler._supports_posix_rename else ["posix-rename@openssh.com"]
        if self.login.require_fsync and not handler._supports_fsync:
            missing.append("fsync@openssh.com")
        if missing:
            raise self._refusal(
                "repository_unfit",
                f"its SFTP server does not know {' and '.join(missing)}",
                "use OpenSSH's server; without fsync only, set require_fsync = false and accept that a power"
                " cut there may damage what was written last",
            )

    def _refusal(self, code: str, why: str, hint: str) -> RepositoryFault:
        self._refused = RepositoryFault(
            f"the repository {self.login.title} cannot be opened: {why}", code=code, hint=hint
        )
        return self._refused

    async def _drop(self) -> None:
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None:
            connection.abort()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(connection.wait_closed(), 2)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(_unheard)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of many requests under way when a connection breaks, asyncssh hears out only the first."""
    if not isinstance(context.get("exception"), asyncssh.Error):
        loop.default_exception_handler(context)
