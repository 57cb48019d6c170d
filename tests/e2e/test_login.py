"""Logging in: by keyboard-interactive password, never twice after a refusal, only to the pinned host."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

from ceso_mcp.app import Ceso
from ceso_mcp.errors import HostFault
from ceso_mcp.secrets import SecretRef

from .conftest import House
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def with_password(house: House) -> Ceso:
    host = house.config.host.model_copy(update={"key_file": None, "password": SecretRef(env="LAB_PASSWORD")})
    return Ceso(house.config.model_copy(update={"host": host}), spawn=lambda job, log, environment: 0)


@pytest.fixture
def no_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


async def test_a_password_logs_in_and_appears_nowhere(
    house: House, monkeypatch: pytest.MonkeyPatch, no_agent: None
) -> None:
    password = house.lab.address().password
    monkeypatch.setenv("LAB_PASSWORD", password)
    await house.ceso.close()
    house.ceso = with_password(house)
    await house.do("clone_vm", source=SMALL, name="by password", hostname="pw")
    for path in house.folder.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes(), path
    assert password not in str(house.lab.log())


async def test_a_refused_login_is_not_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch, no_agent: None
) -> None:
    """ESXi locks the account after five failures (fact sheet esxcli-and-shell §3.4)."""
    monkeypatch.setenv("LAB_PASSWORD", "not the password")
    attempts = 0
    real = asyncssh.connect

    async def counting(*args: object, **options: object) -> object:
        nonlocal attempts
        attempts += 1
        return await real(*args, **options)

    monkeypatch.setattr(asyncssh, "connect", counting)
    ceso = with_password(house)
    for _ in range(3):
        with pytest.raises(HostFault) as caught:
            await ceso.runner.run("true")
        assert caught.value.code == "auth_failed"
        assert "not the password" not in caught.value.text()
    assert attempts == 1


async def test_another_host_key_is_fatal_and_nothing_is_sent(house: House) -> None:
    stranger = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode().strip()
    host = house.config.host.model_copy(update={"host_keys": (stranger,)})
    mark = house.mark()
    ceso = Ceso(house.config.model_copy(update={"host": host}), spawn=lambda job, log, environment: 0)
    with pytest.raises(HostFault) as caught:
        await ceso.runner.run("true")
    assert caught.value.code == "host_key"
    assert house.mark() == mark
