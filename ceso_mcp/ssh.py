"""The one SSH connection to the host: pinned key, multiplexed, every wait bounded.

Measured choices (docs/architecture.md): AES-GCM ciphers, the default 2 MiB window, 256 KiB packets
and a session callback instead of stream objects.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncssh

from ceso_mcp.config import HostSection
from ceso_mcp.errors import CesoError, HostFault
from ceso_mcp.fact import Reply
from ceso_mcp.home import expanded
from ceso_mcp.host_keys import algorithms_of, words_of
from ceso_mcp.ports import Feed, Sink
from ceso_mcp.secrets import read_secret

CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes128-ctr")
OUTPUT_LIMIT_BYTES = 32 << 20
QUEUE_LIMIT_BYTES = 4 << 20
UNDER_WAY = "The command that was under way may have run."


class HostConnection:
    """A `Runner` over one SSH connection, opened at the first command and reopened when lost.

    A refused login is never tried again by itself: the host locks the account for 15 minutes after
    five failures (fact sheet esxcli-and-shell §3.4).
    """

    def __init__(self, host: HostSection) -> None:
        self._host = host
        self._connection: asyncssh.SSHClientConnection | None = None
        self._opening = asyncio.Lock()
        self._refused: HostFault | None = None

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._connection.wait_closed(), 2)
            self._connection = None

    async def run(
        self,
        line: str,
        *,
        stdin: bytes = b"",
        feed: Feed | None = None,
        sink: Sink | None = None,
        timeout_s: float = 60.0,
    ) -> Reply:
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connected()
                exchange = _Exchange()
                try:
                    channel, _ = await connection.create_session(
                        lambda: exchange, line, encoding=None, max_pktsize=262144
                    )
                except (asyncssh.Error, OSError) as error:
                    raise HostFault(
                        f"the host did not open a channel ({words_of(error)})",
                        code="connection_lost",
                        changed=UNDER_WAY,
                    ) from None
                try:
                    return await self._exchange(channel, exchange, stdin, feed, sink)
                finally:
                    channel.abort() if exchange.exit_status is None else channel.close()
        except TimeoutError:
            raise HostFault(
                f"the host did not finish within {timeout_s:g} s",
                code="timeout",
                changed=UNDER_WAY,
            ) from None

    async def _exchange(
        self, channel: Any, exchange: _Exchange, stdin: bytes, feed: Feed | None, sink: Sink | None
    ) -> Reply:
        writing = asyncio.create_task(_write(channel, exchange, stdin, feed))
        output = bytearray()
        try:
            while (chunk := await exchange.next_chunk()) is not None:
                if sink is not None:
                    await sink(chunk)
                    continue
                output += chunk
                if len(output) > OUTPUT_LIMIT_BYTES:
                    raise HostFault("the host's answer is larger than ceso accepts", code="answer_too_large")
            fault = writing.exception() if writing.done() and not writing.cancelled() else None
            if isinstance(fault, CesoError):
                raise fault
            if exchange.exit_status is None and exchange.signal is None:
                raise HostFault(
                    "the connection to the host was lost", code="connection_lost", changed=UNDER_WAY
                )
        finally:
            if not writing.done():
                writing.cancel()
            with contextlib.suppress(asyncio.CancelledError, CesoError, asyncssh.Error, OSError):
                await writing
        error = exchange.error.decode("utf-8", "replace")
        if exchange.signal is not None:
            return Reply(
                None, output.decode("utf-8", "replace"), f"{error}killed by signal {exchange.signal}"
            )
        return Reply(exchange.exit_status, output.decode("utf-8", "replace"), error)

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._opening:
            if self._connection is not None and not self._connection.is_closed():
                return self._connection
            if self._refused is not None:
                raise self._refused
            self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> asyncssh.SSHClientConnection:
        host = self._host
        where = f"{host.user}@{host.address}:{host.port}"
        pinned = [asyncssh.import_public_key(line) for line in host.host_keys]
        options: dict[str, Any] = {}
        if host.key_file is not None:
            options["client_keys"] = [str(expanded(host.key_file))]
        if host.password is not None:
            options["password"] = read_secret(host.password, "host password").value.decode()
        try:
            return await asyncssh.connect(
                host.address,
                host.port,
                username=host.user,
                known_hosts=(pinned, [], []),
                server_host_key_algs=algorithms_of(pinned),
                encryption_algs=list(CIPHERS),
                compression_algs=None,
                config=None,
                keepalive_interval=15,
                keepalive_count_max=4,
                connect_timeout=host.connect_timeout_s,
                login_timeout=host.connect_timeout_s,
                **options,
            )
        except asyncssh.HostKeyNotVerifiable:
            raise HostFault(
                f"the host key of {where} is not the pinned one",
                code="host_key",
                changed="Nothing was sent.",
                hint="if the host was reinstalled, check its key on its console and pin it anew",
            ) from None
        except asyncssh.PermissionDenied:
            self._refused = HostFault(
                f"{where} refused the login",
                code="auth_failed",
                changed="Nothing was changed.",
                hint="ceso does not try again by itself, because ESXi locks the account after 5 failures; "
                "ESXi 8 refuses Ed25519 keys without saying so",
            )
            raise self._refused from None
        except (OSError, asyncssh.Error, TimeoutError) as error:
            raise HostFault(
                f"cannot reach {where} ({words_of(error)})",
                code="unreachable",
                changed="Nothing was changed.",
                hint="is the host up, and its SSH service started?",
            ) from None


class _Exchange(asyncssh.SSHClientSession[bytes]):
    """One command's streams, with back-pressure on what comes in and what goes out."""

    def __init__(self) -> None:
        self.exit_status: int | None = None
        self.signal: str | None = None
        self.error = bytearray()
        self._chunks: list[bytes] = []
        self._queued = 0
        self._paused = False
        self._ended = False
        self._news = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype is not None:
            if len(self.error) < (1 << 20):
                self.error += data
            return
        self._chunks.append(data)
        self._queued += len(data)
        if self._queued > QUEUE_LIMIT_BYTES and not self._paused:
            self._paused = True
            self._channel.pause_reading()
        self._news.set()

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.signal = signal

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._news.set()
        self.writable.set()

    async def next_chunk(self) -> bytes | None:
        """The bytes that have come since the last call; None once the channel is closed."""
        while not self._chunks:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        data = b"".join(self._chunks) if len(self._chunks) > 1 else self._chunks[0]
        self._chunks.clear()
        self._queued = 0
        if self._paused:
            self._paused = False
            self._channel.resume_reading()
        return data


async def _write(channel: Any, exchange: _Exchange, stdin: bytes, feed: Feed | None) -> None:
    """Everything that goes to standard input, then its end: a host command never waits for more."""
    try:
        if stdin:
            channel.write(stdin)
        if feed is not None:
            async for chunk in feed:
                await exchange.writable.wait()
                channel.write(chunk)
        await exchange.writable.wait()
        channel.write_eof()
    except CesoError:
        channel.abort()  # the command must not take half of its input for all of it
        raise
