"""A backup can be restored with the script in the repository and standard programs alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from repository_cases import FACTS, Kit, new_identity, sparse_image, wire_of

from ceso_mcp.repository.by_hand import RESTORE_SH

NEEDED = ("age", "zstd", "awk", "sed", "dd", "sha256sum", "truncate")
MISSING = [program for program in NEEDED if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"restore.sh needs {', '.join(MISSING)}")

ODD = (5 << 20) + 3 * 512


def restore(kit: Kit, tmp_path: Path, *arguments: str, shell: str = "sh") -> subprocess.CompletedProcess[str]:
    extra = []
    if kit.identities:
        key = tmp_path / "key file"
        key.write_text(kit.identities[0] + "\n")
        extra = [str(key)]
    command = [shell, str(kit.path / "restore.sh"), *arguments, *extra]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd="/")


@pytest.fixture(params=["sh", "bash", "busybox"])
def shell(request: pytest.FixtureRequest) -> str:
    found = shutil.which(request.param)
    if found is None:
        pytest.skip(f"there is no {request.param} here")
    return str(request.param)


def test_the_script_restores_every_disk_bit_for_bit(kit: Kit, tmp_path: Path) -> None:
    images = [sparse_image(ODD, 1, 0.6), bytes(65536 + 512), sparse_image(1 << 20, 2)]
    manifest = kit.back_up(*images)
    assert len(manifest.disks[0].packs) > 2
    for index, image in enumerate(images):
        out = tmp_path / "out folder" / f"{index} web.raw"
        out.parent.mkdir(exist_ok=True)
        done = restore(kit, tmp_path, str(kit.path), manifest.id, str(index), str(out))
        assert (done.returncode, done.stderr) == (0, "")
        assert out.read_bytes() == image
        assert [path.name for path in out.parent.iterdir() if "restore" in path.name] == []


def test_the_backup_may_be_given_as_a_folder(kit: Kit, tmp_path: Path) -> None:
    image = sparse_image(1 << 20, 3)
    manifest = kit.back_up(image)
    folder = kit.path / "backups" / manifest.id
    done = restore(kit, tmp_path, str(kit.path), str(folder), "0", str(tmp_path / "out.raw"))
    assert done.returncode == 0
    assert (tmp_path / "out.raw").read_bytes() == image


def test_names_in_the_manifest_cannot_mislead_the_script(plain_kit: Kit, tmp_path: Path) -> None:
    image = sparse_image(1 << 20, 4)
    with plain_kit.make().writer("vm/20260101T000000Z-aaaa") as writer:
        evil = '\n   "index": 0,\n   "capacity_bytes": 1,\n'
        evil += '    ["' + "0" * 64 + '", 1, 1]\n "checksum": "00"\n'
        disk = writer.disk(0, node=evil, file_name=evil, capacity_bytes=1 << 20, descriptor=evil)
        disk.feed(wire_of(image))
        disk.finish()
        manifest = writer.commit(**(FACTS | {"vm_name": evil, "host": evil}), not_included=[(evil, evil)])
    assert plain_kit.open().list().manifests == [manifest]
    done = restore(plain_kit, tmp_path, str(plain_kit.path), manifest.id, "0", str(tmp_path / "out.raw"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out.raw").read_bytes() == image


@pytest.mark.parametrize("which", ["packs/", "disk-0.map", "manifest.json"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_the_script_refuses_damage_and_leaves_no_half_image(
    kit: Kit, tmp_path: Path, which: str, how: str
) -> None:
    manifest = kit.back_up(sparse_image(ODD, 5, 0.6))
    name = next(name for name in kit.objects() if which in name)
    content = bytearray((kit.path / name).read_bytes())
    content[len(content) // 2] ^= 4
    (kit.path / name).write_bytes(content)
    if how == "gone":
        (kit.path / name).unlink()
    out = tmp_path / "out.raw"
    done = restore(kit, tmp_path, str(kit.path), manifest.id, "0", str(out))
    assert done.returncode == 1
    assert done.stderr.startswith("restore.sh: ")
    assert not out.exists()
    assert list(tmp_path.glob("ceso-restore*")) == []


def test_the_script_refuses_what_it_should(kit: Kit, tmp_path: Path) -> None:
    manifest = kit.back_up(bytes(512))
    mine = tmp_path / "mine.raw"
    mine.write_text("mine")
    for arguments in (
        (str(kit.path), manifest.id, "0", str(mine)),
        (str(kit.path), manifest.id, "1", str(tmp_path / "out.raw")),
        (str(kit.path), manifest.id, "x", str(tmp_path / "out.raw")),
        (str(kit.path), "no/such", "0", str(tmp_path / "out.raw")),
        (str(tmp_path), manifest.id, "0", str(tmp_path / "out.raw")),
    ):
        done = restore(kit, tmp_path, *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert mine.read_text() == "mine"
    assert not (tmp_path / "out.raw").exists()
    assert restore(kit, tmp_path).returncode == 2


def test_the_script_says_that_a_key_is_needed_or_wrong(sealed_kit: Kit, tmp_path: Path) -> None:
    manifest = sealed_kit.back_up(sparse_image(1 << 20, 6))
    for identities, word in (((), "encrypted"), ((new_identity()[0],), "decrypt")):
        kit = Kit(sealed_kit.path, sealed_kit.recipients, identities)
        done = restore(kit, tmp_path, str(kit.path), manifest.id, "0", str(tmp_path / "out.raw"))
        assert done.returncode == 1
        assert word in done.stderr
        assert not (tmp_path / "out.raw").exists()


def test_the_script_runs_in_every_shell_here(kit: Kit, tmp_path: Path, shell: str) -> None:
    image = sparse_image(ODD, 7, 0.6)
    manifest = kit.back_up(image)
    command = ["busybox", "sh"] if shell == "busybox" else [shell]
    script = tmp_path / "shell"
    script.write_text(f'#!/bin/sh\nexec {" ".join(command)} "$@"\n')
    script.chmod(0o700)
    out = tmp_path / "out.raw"
    done = restore(kit, tmp_path, str(kit.path), manifest.id, "0", str(out), shell=str(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert out.read_bytes() == image


def test_the_kept_files_can_be_taken_out_by_hand(plain_kit: Kit) -> None:
    manifest = plain_kit.back_up(bytes(512))
    archive = plain_kit.path / "backups" / manifest.id / "files.tar.zst"
    raw = subprocess.run(["zstd", "-dc", str(archive)], capture_output=True, check=True).stdout
    listed = subprocess.run(["tar", "-xOf", "-", "web 01.vmx"], input=raw, capture_output=True, check=True)
    assert listed.stdout == b'displayName = "web 01"\n'


def test_the_manifest_can_be_checked_by_hand(plain_kit: Kit) -> None:
    manifest = plain_kit.back_up(bytes(512))
    path = plain_kit.path / "backups" / manifest.id / "manifest.json"
    command = f"""sed '/^ "checksum": /,$d' '{path}' | sha256sum; tail -n 2 '{path}'"""
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.split()
    assert said[3] == f'"{said[0]}"'


def test_a_pack_is_an_ordinary_zstd_file(plain_kit: Kit) -> None:
    plain_kit.back_up(sparse_image(ODD, 8))
    packs = [str(plain_kit.path / name) for name in plain_kit.objects() if name.startswith("packs/")]
    subprocess.run(["zstd", "-tq", *packs], check=True)


def test_the_repository_holds_the_script_of_this_version(plain_kit: Kit) -> None:
    plain_kit.make()
    assert (plain_kit.path / "restore.sh").read_text() == RESTORE_SH
    assert "restore.sh" in (plain_kit.path / "RESTORE.txt").read_text()
