"""Places on a datastore, in both of ESXi's spellings: `[datastore] dir/x.vmx` and `/vmfs/volumes/…`."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.errors import Unreadable

VOLUMES = "/vmfs/volumes/"


@dataclass(frozen=True, slots=True, order=True)
class DatastorePath:
    """A file or folder on a datastore; `path` is relative to its root, "" being the root itself.

    `datastore` is a name or a volume's UUID, as the source had it.
    """

    datastore: str
    path: str = ""

    def __post_init__(self) -> None:
        _check(self.datastore, "datastore")
        if self.path:
            for part in self.path.split("/"):
                _check(part, "path")

    @classmethod
    def parse(cls, text: str) -> DatastorePath:
        """From `[datastore] dir/x.vmx` (fact sheet vim-cmd §2). Raises Unreadable."""
        head, found, rest = text.partition("] ")
        if text.endswith("]") and not found:
            head, rest = text[:-1], ""
        elif not found:
            raise Unreadable("a datastore path", "it is not in the form [datastore] path", line=text)
        if not head.startswith("[") or head == "[":
            raise Unreadable("a datastore path", "it names no datastore", line=text)
        return cls(head[1:], rest.rstrip("/"))

    @classmethod
    def of_posix(cls, text: str) -> DatastorePath:
        """From `/vmfs/volumes/<datastore>/…`. Raises Unreadable for any other path."""
        if not text.startswith(VOLUMES):
            raise Unreadable("a path", f"it is not below {VOLUMES}", line=text)
        datastore, _, rest = text[len(VOLUMES) :].partition("/")
        return cls(datastore, rest.rstrip("/"))

    def __str__(self) -> str:
        return (
            f"[{self.datastore}] {self.path}".rstrip() if not self.path else f"[{self.datastore}] {self.path}"
        )

    def posix(self) -> str:
        """The path for the host's shell."""
        return f"{VOLUMES}{self.datastore}/{self.path}" if self.path else f"{VOLUMES}{self.datastore}"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> DatastorePath:
        return DatastorePath(self.datastore, self.path.rpartition("/")[0])

    def joined(self, name: str) -> DatastorePath:
        """`name`, one component, inside this folder."""
        if "/" in name:
            raise Unreadable("a file name", "it holds a slash", line=name)
        return DatastorePath(self.datastore, f"{self.path}/{name}" if self.path else name)

    def resolve(self, file_name: str) -> DatastorePath:
        """What `file_name` in a .vmx or descriptor of this folder means: relative, or absolute below /vmfs."""
        if file_name.startswith("/"):
            return DatastorePath.of_posix(file_name)
        return DatastorePath(self.datastore, f"{self.path}/{file_name}" if self.path else file_name)

    def sibling(self, file_name: str) -> DatastorePath:
        """What `file_name` means in a file that lies here."""
        return self.parent.resolve(file_name)


def _check(part: str, what: str) -> None:
    if part in ("", ".", "..") or "/" in part or any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in part):
        raise Unreadable(f"a {what}", "it is empty, climbs, or holds control characters", line=part)
