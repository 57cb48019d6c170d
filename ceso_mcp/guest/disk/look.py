"""Looks at what the audit of a golden image is about, on a disk."""

from __future__ import annotations

from ceso_mcp.guest.disk.layout import guest_tree
from ceso_mcp.guest.disk.ranges import Asking, Unknown, settled, together
from ceso_mcp.guest.disk.tree import Tree
from ceso_mcp.guest.golden_seen import FILES, FOLDERS, PLACES, READ_WITHIN, Seen

_MAX_WITHIN = 64
_MAX_BYTES = 1 << 20


def look(disk_bytes: int) -> Asking[Seen]:
    """Everything that `golden.audit` asks about; raises Unknown if there is no guest that can be read."""
    layout = yield from guest_tree(disk_bytes)
    tree = layout.tree
    asked = [
        *(settled(tree.read(path, _MAX_BYTES)) for path in FILES),
        *(settled(tree.names(path)) for path in FOLDERS),
        *(settled(_place(tree, path)) for path in PLACES),
    ]
    answers = yield from together(asked)
    unseen: dict[str, str] = {}

    def known(path: str, answer: object) -> bool:
        if isinstance(answer, Unknown):
            unseen[path] = answer.reason
        return not isinstance(answer, Unknown)

    pairs = list(zip((*FILES, *FOLDERS, *PLACES), answers, strict=True))
    first, second = len(FILES), len(FILES) + len(FOLDERS)
    files = {path: answer for path, answer in pairs[:first] if known(path, answer)}
    folders = {path: answer for path, answer in pairs[first:second] if known(path, answer)}
    places = {path: answer for path, answer in pairs[second:] if known(path, answer)}
    within = [
        (folder, f"{folder}/{name}")
        for folder, ending in READ_WITHIN.items()
        for name in (folders.get(folder) or ())[:_MAX_WITHIN]
        if name.endswith(ending)
    ]
    texts = yield from together([settled(tree.read(path, _MAX_BYTES)) for _, path in within])
    for (folder, path), text in zip(within, texts, strict=True):
        if known(folder, text):
            files[path] = text
    return Seen(files, folders, places, unseen, layout.words, layout.dirty)


def _place(tree: Tree, path: str) -> Asking[str | None]:
    node = yield from tree.find(path, follow=False)
    return None if node is None else node.target or ""
