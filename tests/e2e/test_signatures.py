"""Signed backups on the lab: shown, listed, verified, restored; forged ones refused, each with its words."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.config import BackupSection
from ceso_mcp.secrets import SecretRef

from .conftest import House
from .test_main_job import SMALL, contents

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
HouseWith = Callable[..., House]
NOBODY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2nqvjQ4S0sF0VYVwWw0jvVd9Cl8u1yq2fQxJ0b7m5c"


def new_key(house: House, name: str = "signer") -> Path:
    path = house.folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def fingerprint(key: Path) -> str:
    shown = subprocess.run(["ssh-keygen", "-l", "-f", str(key)], capture_output=True, text=True, check=True)
    return shown.stdout.split()[1]


@pytest.fixture
async def house_with(house: House) -> AsyncIterator[Callable[..., House]]:
    """Makes further cesos on the same lab and the same repository."""
    made: list[House] = []

    def another(name: str, **backup: Any) -> House:
        section = BackupSection(repository=house.folder / "backups", **backup)
        made.append(House(house.lab, house.folder / f"of {name}", backup=section))
        return made[-1]

    yield another
    for one in made:
        await one.ceso.close()


def object_of(house: House, backup: str, name: str = "manifest.json") -> Path:
    return house.folder / "backups" / "backups" / backup / name


def forge(manifest: Path) -> None:
    """Change the manifest and give it a right checksum."""
    content = manifest.read_bytes().replace(b'"esxi_build": "', b'"esxi_build": "1')
    body = content[: content.rindex(b' "checksum"')]
    manifest.write_bytes(body + f' "checksum": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode())


async def refusals(house: House, backup: str) -> set[tuple[str, str]]:
    """(code, message) of everything that would restore this backup."""
    new = {"name": "again", "datastore": "datastore1"}
    found = [
        await house.refusal("restore_vm", backup_id=backup, **new),
        await house.refusal("restore_in_place", backup_id=backup, vm=SMALL),
        await house.refusal("restore_disk", backup_id=backup, vm=SMALL),
        await house.refusal("drill_backup", backup_id=backup),
        await house.refusal("extract_disk", backup_id=backup),
    ]
    return {(fault.code, fault.message) for fault in found}


async def row(house: House, backup: str) -> Any:
    return next(b for b in (await house.ask("list_backups")).backups if b.backup_id == backup)


async def test_a_signed_backup_is_listed_and_a_forged_one_refused(
    house: House, house_with: HouseWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key(house)
    monkeypatch.setenv("SIGNING_KEY", key.read_text())
    signer = fingerprint(key)
    key.unlink()
    mine = house_with("mine", sign_key=SecretRef(env="SIGNING_KEY"))
    backup = (await mine.do("backup_vm", vm=SMALL))["backup_id"]
    listed = await row(mine, backup)
    assert (listed.signature, listed.signer, listed.damaged) == ("signed", signer, False)
    kept = [path for path in house.folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"PRIVATE KEY" in path.read_bytes()]
    forge(object_of(house, backup))
    assert (await mine.refusal("restore_disk", backup_id=backup, vm=SMALL)).code == "bad_signature"
    assert (await row(mine, backup)).signature == "bad"


@pytest.mark.slow
async def test_signed_listed_verified_and_forged_refused(house: House, house_with: HouseWith) -> None:
    key = new_key(house)
    mine = house_with("mine", sign_key=SecretRef(file=key), require_signature=True)
    preview = await mine.preview("backup_vm", vm=SMALL)
    assert any(f"signed by {fingerprint(key)}" in str(step) for step in preview.steps)
    job = await mine.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    backup = (job.result or {})["backup_id"]
    listed = await row(mine, backup)
    assert (listed.signature, listed.signer, listed.damaged) == ("signed", fingerprint(key), False)
    verified = await mine.ask("verify_backup", backup_id=backup)
    assert (verified.intact, verified.signature, verified.damage) == (True, "signed", [])
    assert not [w for w in (await mine.preview("extract_disk", backup_id=backup)).warnings if "sign" in w]

    # Who knows no signers sees the key and is told that it was held against nothing.
    plain = house_with("plain")
    assert (await row(plain, backup)).signature == "unchecked"
    said = (await plain.preview("extract_disk", backup_id=backup)).warnings
    assert said == [f"The backup is signed by {fingerprint(key)}, not checked: no signers are configured."]

    # Who knows other signers is warned, and refuses if that is asked for.
    other = house_with("other", trusted_signers=(NOBODY,))
    assert (await row(other, backup)).signature == "unknown_signer"
    words = f"signed by {fingerprint(key)}, who is none of the configured signers"
    assert (await other.preview("extract_disk", backup_id=backup)).warnings == [f"The backup is {words}."]
    status = next(vm for vm in (await other.ask("backup_status")).vms if vm.vm == SMALL)
    assert status.problems == [f"its last good backup is not one to trust: {words}"]
    strict = house_with("strict", trusted_signers=(NOBODY,), require_signature=True)
    why = f"backup {backup} is refused, because require_signature is set: it is {words}"
    assert await refusals(strict, backup) == {("unknown_signer", why)}
    assert (await strict.ask("verify_backup", backup_id=backup)).damage == [why]

    signature = object_of(house, backup, "manifest.json.sig").read_bytes()
    object_of(house, backup, "manifest.json.sig").unlink()
    why = f"backup {backup} is refused, because require_signature is set: its signature is missing"
    assert await refusals(mine, backup) == {("not_signed", why)}
    assert (await row(mine, backup)).signature == "missing"
    said = (await plain.preview("extract_disk", backup_id=backup)).warnings
    assert said == ["The signature of the backup is missing."]
    object_of(house, backup, "manifest.json.sig").write_bytes(signature)

    forge(object_of(house, backup))
    why = f"the signature of backup {backup} is bad: it is not one of this manifest"
    for anybody in (mine, plain, other):
        assert await refusals(anybody, backup) == {("bad_signature", why)}
        assert (await row(anybody, backup)).signature == "bad"
        assert (await row(anybody, backup)).damaged
    verified = await plain.ask("verify_backup", backup_id=backup)
    assert (verified.intact, verified.signature) == (False, "bad")
    assert "manifest.json.sig" in verified.damage[0]
    assert "it is not one of this manifest" in verified.damage[0]
    checked = await plain.ask("check_repository")
    assert checked.problems == [f"{backup}: its signature is bad: it is not one of this manifest"]
    status = next(vm for vm in (await mine.ask("backup_status")).vms if vm.vm == SMALL)
    assert status.problems[0] == f"{backup} is refused: its signature is bad: it is not one of this manifest"
    assert status.status == "critical"
    # Nothing new leans on it, and why is said.
    full = await mine.preview("backup_vm", vm=SMALL)
    why = f"Everything is read: backup {backup} cannot be relied on: its signature is bad"
    assert [w for w in full.warnings if w.startswith(why)]


@pytest.mark.slow
@pytest.mark.parametrize("key", ["absent", "no key"])
async def test_a_key_that_cannot_be_used_stops_a_backup_and_no_restore(
    house: House, house_with: HouseWith, key: str
) -> None:
    signer = new_key(house)
    public = signer.with_suffix(".pub").read_text()
    mine = house_with("mine", sign_key=SecretRef(file=signer), trusted_signers=(public,))
    backup = (await mine.do("backup_vm", vm=SMALL))["backup_id"]
    if key == "absent":
        signer.unlink()
    else:
        signer.write_text("no key\n")
    later = house_with("later", sign_key=SecretRef(file=signer), trusted_signers=(public,))
    before = house.lab.fingerprint()
    refused = await later.refusal("backup_vm", vm=SMALL)
    assert refused.code == ("secret_missing" if key == "absent" else "sign_key_unusable")
    assert house.lab.fingerprint() == before
    assert (await row(later, backup)).signature == "signed"
    assert (await later.preview("extract_disk", backup_id=backup)).warnings == []


@pytest.mark.slow
async def test_what_is_forged_after_the_preview_is_not_restored(house: House, house_with: HouseWith) -> None:
    key = new_key(house)
    mine = house_with("mine", sign_key=SecretRef(file=key))
    backup = (await mine.do("backup_vm", vm=SMALL))["backup_id"]
    before = house.lab.fingerprint()
    preview = await mine.preview("restore_vm", backup_id=backup, name="again", datastore="datastore1")
    forge(object_of(house, backup))
    job = await mine.confirm(preview.confirm_token)
    assert (job.state, (job.error or {})["code"]) == ("failed", "bad_signature")
    assert house.lab.fingerprint() == before


@pytest.mark.slow
async def test_a_new_key_and_old_backups(house: House, house_with: HouseWith) -> None:
    """The old key stays trusted by its public half; what it signed restores, and is leaned on."""
    old, new = new_key(house, "old"), new_key(house, "new")
    first_house = house_with("first", sign_key=SecretRef(file=old), require_signature=True)
    first = (await first_house.do("backup_vm", vm=SMALL))["backup_id"]
    public = old.with_suffix(".pub").read_text()
    later = house_with(
        "later", sign_key=SecretRef(file=new), trusted_signers=(public,), require_signature=True
    )
    second = await later.do("backup_vm", vm=SMALL)
    assert second["compared_with"] == first
    assert (await row(later, second["backup_id"])).signer == fingerprint(new)
    flat = house.lab.volume("datastore1") / SMALL / f"{SMALL}-flat.vmdk"
    for number, backup in enumerate((first, second["backup_id"])):
        name = f"again {number}"
        await later.do("restore_vm", backup_id=backup, name=name, datastore="datastore1")
        assert contents(house.lab.volume("datastore1") / name / f"{name}-flat.vmdk") == contents(flat)
    # Without the old one in the list, what it signed is neither restored nor leaned on.
    forgetful = house_with("forgetful", sign_key=SecretRef(file=new), require_signature=True)
    assert (await forgetful.refusal("extract_disk", backup_id=first)).code == "unknown_signer"
    shutil.rmtree(object_of(house, second["backup_id"], ""))
    preview = await forgetful.preview("backup_vm", vm=SMALL)
    assert [w for w in preview.warnings if f"backup {first} cannot be relied on: signed by" in w]
