"""Backs up, forgets and prunes without end, in a child for every line read: `FOLDER FIRST_RUN`.

Says `pid N`, then what was done, one line each (`made ID`, `forgets ID`), and `ended` after the child died.
"""

from __future__ import annotations

import os
import random
import sys
import traceback
from itertools import count
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from incremental_cases import BLOCK, NODE, begun, changed  # noqa: E402
from repository_cases import FACTS, Kit, sparse_image  # noqa: E402

from ceso_mcp.backup.manifest import Manifest  # noqa: E402
from ceso_mcp.backup.signature import Trust  # noqa: E402
from ceso_mcp.backup.wire import data_head, end_frame, zeros_head  # noqa: E402
from ceso_mcp.repository import keeping  # noqa: E402
from ceso_mcp.repository.signing import SigningKey  # noqa: E402

SIZE = 1 << 20
KEPT = 2
VM = "564d7c1e-0011"
MASKED = b"\xff" * 16


def image_of_backup(folder: Path, backup_id: str) -> Path:
    return folder.with_name("images") / backup_id.replace("/", "-")


def what_differs(image: bytes, before: bytes | None, digests: bytes) -> bytes:
    """The frames that a host would send: blocks that are not as they were or are masked, or not zero."""
    frames = []
    for at in range(0, SIZE, BLOCK):
        block, place = image[at : at + BLOCK], at // BLOCK * 16
        masked = digests[place : place + 16] == MASKED
        if block == (before[at : at + BLOCK] if before is not None else bytes(BLOCK)) and not masked:
            continue
        zero = not any(block)
        frames.append(zeros_head(at, BLOCK) if zero else data_head(at, BLOCK) + block)
    return b"".join(frames) + end_frame(SIZE, len(frames))


def back_up(folder: Path, kit: Kit, run: int, chance: random.Random) -> None:
    repository = kit.open()
    listed = repository.list().manifests
    parent: Manifest | None = listed[0] if listed and chance.random() < 0.8 else None
    before = image_of_backup(folder, parent.id).read_bytes() if parent else None
    image = changed(before, run) if before is not None else sparse_image(SIZE, run, 0.6)
    backup_id = f"{VM}/20260101T{run // 3600:02}{run // 60 % 60:02}{run % 60:02}Z-4f2a9c"
    image_of_backup(folder, backup_id).write_bytes(image)
    old = repository.parent_disk(parent.id, NODE, SIZE) if parent else None
    with repository.writer(backup_id) as writer:
        disk = begun(writer, SIZE, old)
        frames = what_differs(image, before, bytes(old.digests) if old is not None else b"")
        for at in range(0, len(frames), 99_991):
            disk.feed(frames[at : at + 99_991])
        disk.finish()
        writer.add_file("web 01.vmx", b'displayName = "web 01"\n')
        writer.commit(**FACTS, parent=parent and parent.id)  # type: ignore[arg-type]
    print("made", backup_id, flush=True)


def work(folder: Path, first: int) -> None:
    signer = SigningKey.read(folder.with_name("signer").read_text())
    kit, chance = Kit(folder, (), (), signer, Trust((signer.public,), required=True)), random.Random(first)
    for run in count(first):
        back_up(folder, kit, run, chance)
        repository = kit.open()
        old = [manifest.id for manifest in repository.list().manifests[KEPT:]]
        if old and chance.random() < 0.5:
            for backup_id in old:
                print("forgets", backup_id, flush=True)
            keeping.forget(repository, old, keeping.standing(repository).digest([VM]))
        elif chance.random() < 0.3:
            repository.prune(repository.garbage().digest)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                folder, first = line.split()
                work(Path(folder), int(first))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        print("pid", child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
