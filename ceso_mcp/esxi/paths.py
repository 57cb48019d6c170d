"""Places on a datastore: `[datastore] folder/file` and `/vmfs/volumes/datastore/folder/file`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable

_WHAT = "datastore path"
_VOLUMES = "/vmfs/volumes/"
_BRACKETS = re.compile(r"\[([^\[\]]*)\](?: (.*))?", re.S)


@dataclass(frozen=True, slots=True, order=True)
class DatastorePath:
    """A file or folder of a datastore. `path` is relative to the datastore; "" is the datastore itself.

    `datastore` is a name (it may hold spaces, parentheses, a colon: getallvms-11, getallvms-12) or,
    where the host gave only that, the id under `/vmfs/volumes`. The same place can so be written in
    two ways; compare paths only after names and ids were made alike.

    Raises Unreadable for what could lead elsewhere or break a line: `.` and `..`, an absolute or
    empty part, control characters, brackets or a slash in the datastore.
    """

    datastore: str
    path: str = ""

    def __post_init__(self) -> None:
        _refuse_characters(self.datastore)
        _refuse_characters(self.path)
        if not self.datastore.strip() or self.datastore in (".", ".."):
            raise Unreadable(_WHAT, "it names no datastore", line=self.datastore)
        if any(char in "[]/" for char in self.datastore):
            raise Unreadable(_WHAT, "a bracket or slash in the datastore's name", line=self.datastore)
        if self.path and any(part in ("", ".", "..") for part in self.path.split("/")):
            raise Unreadable(_WHAT, "an empty, `.` or `..` part", line=self.path)

    @classmethod
    def parse(cls, text: str) -> DatastorePath:
        """Read `[datastore] folder/file`, and `[] /vmfs/volumes/…`, the form that vCLS VMs have.

        The latter gives the id of the volume as `datastore` (fact sheet vim-cmd §2, getallvms).
        """
        found = _BRACKETS.fullmatch(text)
        if found is None:
            raise Unreadable(_WHAT, "it is not of the form [datastore] path", line=text)
        datastore, rest = found.group(1), found.group(2) or ""
        if not datastore:
            return cls.from_posix(rest)
        return cls(datastore, _single_slashes(rest))

    @classmethod
    def from_posix(cls, text: str) -> DatastorePath:
        """Read `/vmfs/volumes/<name or id>/folder/file`."""
        if not text.startswith(_VOLUMES):
            raise Unreadable(_WHAT, f"it is not below {_VOLUMES}", line=text)
        datastore, _, rest = _single_slashes(text[len(_VOLUMES) :]).partition("/")
        return cls(datastore, rest.removesuffix("/"))

    def __str__(self) -> str:
        return f"[{self.datastore}] {self.path}" if self.path else f"[{self.datastore}]"

    def posix(self) -> str:
        """The absolute path on the host."""
        return f"{_VOLUMES}{self.datastore}/{self.path}" if self.path else _VOLUMES + self.datastore

    @property
    def name(self) -> str:
        """The last part; the datastore's name for the datastore itself."""
        return self.path.rpartition("/")[2] or self.datastore

    @property
    def parent(self) -> DatastorePath:
        """The folder it lies in; the datastore itself is its own parent."""
        return DatastorePath(self.datastore, self.path.rpartition("/")[0])

    def joined(self, name: str) -> DatastorePath:
        """`name` (which may hold slashes) below this folder; raises Unreadable if it is absolute."""
        return DatastorePath(self.datastore, f"{self.path}/{name}" if self.path else name)

    def resolve(self, name: str) -> DatastorePath:
        """A file name as a .vmx in this folder means it: relative to it, or absolute.

        Absolute names lie below `/vmfs/volumes` (fact sheet vmkfstools-and-files §5.2).
        """
        if not name:
            raise Unreadable(_WHAT, "it is empty")
        if name.startswith("/"):
            return DatastorePath.from_posix(name)
        return self.joined(_single_slashes(name))

    def sibling(self, name: str) -> DatastorePath:
        """A file name as a descriptor at this path means it: relative to its folder, or absolute."""
        return self.parent.resolve(name)


def _refuse_characters(text: str) -> None:
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in text):
        raise Unreadable(_WHAT, "a control character", line=text.encode("ascii", "backslashreplace").decode())


def _single_slashes(text: str) -> str:
    return re.sub("//+", "/", text)
