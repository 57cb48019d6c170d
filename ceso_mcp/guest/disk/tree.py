"""The files of a guest across its file systems, found by path as the guest would find them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ceso_mcp.guest.disk.ext4 import ROOT, Ext4, Inode
from ceso_mcp.guest.disk.ranges import Asking, Unknown, Volume, on

_MAX_LINKS = 40


@dataclass(frozen=True, slots=True)
class Mounted:
    """A file system and the volume it lies on."""

    volume: Volume
    system: Ext4


@dataclass(frozen=True, slots=True)
class Node:
    """A file that was found, and on what. `target` is where a link leads that was not followed."""

    on: Mounted
    inode: Inode
    target: str | None = None


class Tree:
    """The root file system and what is mounted below it (or why that cannot be read), by path."""

    def __init__(self, root: Mounted, below: Mapping[str, Mounted | Unknown] | None = None) -> None:
        self._root = root
        self._below = dict(below or {})

    def with_mounts(self, below: Mapping[str, Mounted | Unknown]) -> Tree:
        return Tree(self._root, below)

    def find(self, path: str, *, follow: bool = True) -> Asking[Node | None]:
        """What is at `path`, a last link followed or not; None if there is nothing.

        Raises Unknown if the way leads to a file system that cannot be read.
        """
        todo = path.split("/")
        names: list[str] = []
        stack = [(yield from self._top(self._root))]
        links = 0
        while todo:
            name = todo.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                if names:
                    names.pop()
                    stack.pop()
                continue
            here = stack[-1]
            if not here.inode.is_directory:
                return None
            entries = yield from on(here.on.volume, here.on.system.entries(here.inode))
            number = entries.get(name.encode("utf-8", "surrogateescape"))
            if number is None:
                return None
            mount = self._below.get("/" + "/".join([*names, name]))
            if isinstance(mount, Unknown):
                raise mount
            if mount is not None:
                stack.append((yield from self._top(mount)))
                names.append(name)
                continue
            inode = yield from on(here.on.volume, here.on.system.inode(number))
            if inode.is_link:
                content = yield from on(here.on.volume, here.on.system.content(inode, 4096))
                target = content.decode("utf-8", "surrogateescape")
                if not any(todo) and not follow:
                    return Node(here.on, inode, target)
                links += 1
                if links > _MAX_LINKS:
                    return None
                todo = target.split("/") + todo
                if target.startswith("/"):
                    names, stack = [], stack[:1]
                continue
            names.append(name)
            stack.append(Node(here.on, inode))
        return stack[-1]

    def read(self, path: str, limit: int = 1 << 20) -> Asking[bytes | None]:
        """The bytes of a regular file; None if there is none at `path`."""
        node = yield from self.find(path)
        if node is None or not node.inode.is_file:
            return None
        return (yield from on(node.on.volume, node.on.system.content(node.inode, limit)))

    def names(self, path: str) -> Asking[tuple[str, ...] | None]:
        """The names in a directory, sorted; None if there is none at `path`."""
        node = yield from self.find(path)
        if node is None or not node.inode.is_directory:
            return None
        entries = yield from on(node.on.volume, node.on.system.entries(node.inode))
        return tuple(sorted(name.decode("utf-8", "surrogateescape") for name in entries))

    def _top(self, mounted: Mounted) -> Asking[Node]:
        return Node(mounted, (yield from on(mounted.volume, mounted.system.inode(ROOT))))
