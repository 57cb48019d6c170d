"""Does one piece of work on a repository, in a child for every line read: `FOLDER WORK AT before|after`.

The child kills itself with -9 at the AT-th call; the answer is `killed` or `ended COUNT`.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from fault_cases import WRITES, Faults, die  # noqa: E402
from repository_cases import Kit, sparse_image  # noqa: E402

from ceso_mcp.repository.signing import SigningKey  # noqa: E402


def work(folder: str, what: str, at: int, when: str) -> None:
    kit = Kit(Path(folder), (), (), SigningKey.read(Path(folder).with_name("signer").read_text()))
    faults = Faults(folder, WRITES, at, die, lasting=False, after=when == "after")
    with faults.armed():
        if what == "backup":
            kit.back_up(sparse_image(2 << 20, 7, 0.6), run=1)
        else:
            repository = kit.open()
            repository.prune(repository.garbage().digest)


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            folder, what, at, when = line.split()
            work(folder, what, int(at), when)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    print("killed" if os.WIFSIGNALED(status) else f"ended {os.WEXITSTATUS(status)}", flush=True)
