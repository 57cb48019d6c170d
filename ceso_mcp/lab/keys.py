"""The lab's keys: two host keys and one client key pair, and the password, made once per directory."""

from __future__ import annotations

import secrets
from pathlib import Path

import asyncssh

HOST_KEYS = (("ssh_host_rsa_key", "ssh-rsa"), ("ssh_host_ecdsa_key", "ecdsa-sha2-nistp256"))
CLIENT_KEY = "client_ecdsa"
PASSWORD = "password"


def make(folder: Path) -> None:
    """Write what is missing; ESXi's FIPS mode takes RSA and ECDSA only (fact sheet §3.4)."""
    for name, algorithm in (*HOST_KEYS, (CLIENT_KEY, "ecdsa-sha2-nistp256")):
        place = folder / name
        if place.exists():
            continue
        made = (
            asyncssh.generate_private_key(algorithm, key_size=2048)
            if algorithm == "ssh-rsa"
            else asyncssh.generate_private_key(algorithm)
        )
        made.set_comment("lab")
        made.write_public_key(str(place) + ".pub")
        temporary = place.with_suffix(".new")
        made.write_private_key(str(temporary))
        temporary.chmod(0o600)
        temporary.replace(place)
    password = folder / PASSWORD
    if not password.exists():
        password.touch(0o600)
        password.write_text(secrets.token_urlsafe(12))


def host_key_lines(folder: Path) -> tuple[str, ...]:
    """The public host keys as `type base64`, without comments."""
    lines = []
    for name, _ in HOST_KEYS:
        words = (folder / f"{name}.pub").read_text().split()
        lines.append(f"{words[0]} {words[1]}")
    return tuple(lines)
