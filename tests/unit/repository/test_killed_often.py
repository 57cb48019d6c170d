"""One repository whose writers are killed again and again, at any instant of whatever they do."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killed_at_random import SIZE, image_of_backup
from repository_cases import Kit, image_of, new_signer
from test_repository_faults import named, prune

from ceso_mcp.backup.signature import Trust
from ceso_mcp.repository.lock import LOCK

PROGRAM = Path(__file__).with_name("killed_at_random.py")

# 200 of them make a run of ten minutes; this many are tried each time.
KILLS = int(os.environ.get("CESO_KILLS", "40"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_listed_backup_restores_and_nothing_stays_locked(tmp_path: Path) -> None:
    chance = random.Random(7)
    signer = new_signer(tmp_path)
    kit = Kit(tmp_path / "repo", (), (), signer, Trust((signer.public,), required=True))
    kit.make()
    (tmp_path / "images").mkdir()
    wanted: set[str] = set()
    made = locked = reclaimed = 0
    with subprocess.Popen(
        [sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        for attempt in range(KILLS):
            print(kit.path, attempt * 100, file=program.stdin, flush=True)
            child = int(program.stdout.readline().split()[1])
            time.sleep(chance.uniform(0.0, 0.7))
            os.kill(child, signal.SIGKILL)
            while (line := program.stdout.readline()).strip() != "ended":
                what, backup_id = line.split()
                made += what == "made"
                (wanted.add if what == "made" else wanted.discard)(backup_id)
            locked += (kit.path / LOCK).exists()
            listed = kit.open().list()
            assert listed.damaged == []
            assert wanted <= {manifest.id for manifest in listed.manifests}
            wanted = {manifest.id for manifest in listed.manifests}
            # All of them every twentieth time and at the end, the newest each time.
            last = attempt % 20 == 19 or attempt == KILLS - 1
            for manifest in listed.manifests if last else listed.manifests[:2]:
                assert kit.open().verify(manifest.id).ok
                stream = kit.open().reader(manifest.id).disk_stream(0)
                assert image_of(stream, SIZE) == image_of_backup(kit.path, manifest.id).read_bytes()
            reclaimed += prune(kit)
            assert {name for name in kit.objects() if not name.startswith("tmp/claim-")} == named(kit)
        program.stdin.close()
    # A claim to the lock is made without it, so it goes an hour later only.
    for claim in kit.path.glob("tmp/claim-*"):
        os.utime(claim, (time.time() - 7200,) * 2)
    prune(kit)
    assert set(kit.objects()) == named(kit)
    print(f"\n{KILLS} kills: {made} backups made, {locked} locks left, {reclaimed} objects pruned")
    assert made > 0
    assert locked > 0
    assert reclaimed > 0
