"""The SSH server: the algorithms, log-ins and limits of ESXi 8's sshd (transcript shell-sshd-config-1)."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import asyncssh

from ceso_mcp.lab import keys
from ceso_mcp.lab.exec_session import ExecSession
from ceso_mcp.lab.machine import Machine

KEX = (
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
)
CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr")
MACS = ("hmac-sha2-256", "hmac-sha2-512")
# Ed25519 is refused without a reason in FIPS mode (shell-ssh-ed25519-denied-1).
USER_KEYS = (
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
)
SESSIONS_PER_CONNECTION = 10
# clientalivecountmax 3; clientaliveinterval 200 is `World.keep_alive_s`.
KEEP_ALIVE_COUNT = 3
WINDOW_BYTES = 2 << 20
PACKET_BYTES = 256 << 10


class Server(asyncssh.SSHServer):
    """One connection: `root` by a key of the key file, or by its password over keyboard-interactive."""

    def __init__(self, machine: Machine, password: str) -> None:
        self._machine = machine
        self._password = password
        self._connection: asyncssh.SSHServerConnection | None = None
        self._peer = ""
        self._pid = machine.pid(machine.log.number())
        self._waiting = False
        self._method = "publickey"
        self._logged_in = False
        self.open_sessions = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        access = self._machine.access
        if access.full():
            conn.abort()
            return
        access.waiting += 1
        self._waiting = True
        conn.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = conn.get_extra_info("peername")[:2]
        self._peer = f"{host} port {port}"
        self._machine.host_log.auth(self._pid, f"Connection from {self._peer}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._no_longer_waiting()
        if self._logged_in:
            self._machine.host_log.auth(self._pid, "Session closed for 'root' on /dev/char/pty/t0")

    def _no_longer_waiting(self) -> None:
        if self._waiting:
            self._waiting = False
            self._machine.access.waiting -= 1

    async def begin_auth(self, username: str) -> bool:
        world = self._machine.world
        pause_s = world.latency_s if world.login_s is None else world.login_s
        if pause_s:
            await asyncio.sleep(pause_s)
        if self._connection is None:
            return True
        if banner := self._machine.banner:
            self._connection.send_auth_banner(banner)
        keys_of_user = self._machine.access.authorized(username) if username == "root" else None
        if keys_of_user is not None:
            self._connection.set_authorized_keys(keys_of_user)
        return True

    def auth_completed(self) -> None:
        self._no_longer_waiting()
        self._logged_in = True
        # Only now: asyncssh takes its own settings once more when it learns the user.
        if self._connection is not None:
            self._connection.set_keepalive(self._machine.world.keep_alive_s, KEEP_ALIVE_COUNT)
        text = f"Accepted {self._method} for root from {self._peer} ssh2"
        self._machine.host_log.auth(self._pid, text)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return False

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: object) -> bool:
        access = self._machine.access
        right = username == "root" and list(responses) == [self._password]  # type: ignore[call-overload]
        if access.locked(username):
            return False
        if not right:
            access.failed(username)
            return False
        access.forget(username)
        self._method = "keyboard-interactive/pam"
        return True

    def session_requested(self) -> ExecSession | bool:
        if self.open_sessions >= SESSIONS_PER_CONNECTION or self._connection is None:
            return False
        self.open_sessions += 1
        return ExecSession(self._machine, self._connection, self._session_ended)

    def _session_ended(self) -> None:
        self.open_sessions -= 1


async def listen(machine: Machine, key_folder: Path, port: int) -> asyncssh.SSHAcceptor:
    """Serve on loopback; port 0 takes a free one."""
    password = (key_folder / keys.PASSWORD).read_text()
    return await asyncssh.create_server(
        lambda: Server(machine, password),
        "127.0.0.1",
        port,
        server_host_keys=[str(key_folder / name) for name, _ in keys.HOST_KEYS],
        server_version="OpenSSH_9.6",
        kex_algs=list(KEX),
        encryption_algs=list(CIPHERS),
        mac_algs=list(MACS),
        compression_algs=["none"],
        signature_algs=list(USER_KEYS),
        encoding=None,
        line_editor=False,
        allow_scp=False,
        x11_forwarding=False,
        agent_forwarding=False,
        gss_host=None,
        rekey_bytes=1 << 30,
        rekey_seconds=3600,
        login_timeout=60,
        reuse_address=True,
        window=WINDOW_BYTES,
        max_pktsize=PACKET_BYTES,
    )
