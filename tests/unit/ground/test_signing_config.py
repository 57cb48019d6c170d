"""Signers in the configuration: wrong ones are errors that name their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from ceso_mcp.config import load_config
from ceso_mcp.errors import ConfigFault

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2nqvjQ4S0sF0VYVwWw0jvVd9Cl8u1yq2fQxJ0b7m5c"
HOST = '[host]\naddress = "esxi01"\nhost_keys = ["ssh-rsa AAAA"]\n'


def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backup: str) -> Path:
    path = tmp_path / "ceso.toml"
    path.write_text(f"{HOST}[backup]\n{backup}\n")
    monkeypatch.setenv("CESO_CONFIG", str(path))
    return path


def test_signers_and_key_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = f'require_signature = true\ntrusted_signers = ["{KEY} ada@example"]\nsign_key = {{ file = "/k" }}'
    config(tmp_path, monkeypatch, lines)
    backup = load_config().backup
    assert backup.trusted_signers == (KEY,)
    assert backup.sign_key is not None
    assert backup.require_signature


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('trusted_signers = ["ssh-ed25519 AAAA"]', "this is not an SSH public key"),
        ('trusted_signers = ["age1qyq"]', "this is not an SSH public key"),
        ("require_signature = true", "require_signature needs trusted_signers or sign_key"),
    ],
)
def test_wrong_ones_are_errors_with_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    path = config(tmp_path, monkeypatch, line)
    with pytest.raises(ConfigFault) as caught:
        load_config()
    assert caught.value.code == "config_invalid"
    assert said in caught.value.message
    assert caught.value.message.startswith(f"{path}:")
