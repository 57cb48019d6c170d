"""The place where a repository keeps its objects, and what every such place promises.

Objects are named by relative paths (`packs/4f/4f2a….zst`), are written whole and are never
changed, except for the few that `replace` is for. A name is letters, digits, `.`, `_`, `-` and
`/`, without empty, `.` or `..` parts; anything else is a ValueError.

Every method raises RepositoryFault: code `repository_full` when there is no room,
`repository_read_only` when nothing may be written, `repository_gone` when the place itself is not
there (any more), `no_such_object` when a named object is missing, `repository` for any other
failure of the storage. A server has also `repository_login` (it refused the login),
`repository_host_key` (its key is not the pinned one), and `repository_unfit` (it cannot promise what
is promised here). A place whose folder was never made is a RepositoryFault with the cause
FileNotFoundError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

Blob = Sequence[bytes | bytearray | memoryview]
"""The content of an object, in pieces, so that a large one need not be joined first."""


class Entry(NamedTuple):
    """An object in a listing."""

    name: str
    size_bytes: int


class Target(Protocol):
    """Keeps objects. One suite, `tests/contract/test_targets.py`, holds every target to this."""

    @property
    def title(self) -> str:
        """Where this is, for people."""
        ...

    def prepare(self) -> set[str]:
        """Make the place, but nothing above it; the names at its top level.

        Raises RepositoryFault `not_a_repository` if it cannot be made.
        """
        ...

    def close(self) -> None:
        """Give up connections; harmless when repeated. The next use makes them anew."""
        ...

    def put(self, name: str, content: Blob) -> bool:
        """Store an object whose name determines its content; False if the name is there already.

        When this returns, the object is safe against a power cut and readable whole under its name.
        If it fails or the process dies at any point, the name is as it was: nobody ever sees part
        of an object.
        """
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Store an object only if the name is free: of several callers at once exactly one gets True."""
        ...

    def replace(self, name: str, content: bytes) -> None:
        """Store an object, over an older one if there is one. Readers see the old or the new, whole."""
        ...

    def get(self, name: str) -> bytes:
        """The whole content."""
        ...

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; asking beyond the end is a RepositoryFault."""
        ...

    def list(self, folder: str) -> Iterator[Entry]:
        """All objects below `folder`, at any depth, in no particular order; none if there is no such folder.

        Objects that are only being written are not in it.
        """
        ...

    def exists(self, name: str) -> bool: ...

    def size(self, name: str) -> int: ...

    def delete(self, name: str) -> None:
        """Remove the object; it is no error if it is not there."""
        ...

    def lock(self, name: str, content: bytes) -> bool:
        """Take the lock `name`. False if somebody holds it.

        `content` must be unlike any other holder's: by it the lock is known as one's own.
        """
        ...

    def unlock(self, name: str, expected: bytes) -> bool:
        """Remove the lock, if its content is still `expected`; otherwise leave it and return False."""
        ...

    def age_s(self, name: str) -> float:
        """How long ago the object was written, by the clock of the place itself, in seconds.

        Negative if that clock was set back since.
        """
        ...

    def drafts(self) -> Iterator[Entry]:
        """What writers that died left half-written; `delete` removes it.

        Only to be used by whoever holds the repository's lock: drafts of a live writer look the
        same. What somebody who waits for the lock may just be writing is not in it.
        """
        ...

    def free_bytes(self) -> int | None:
        """Room left, or None where the place does not know."""
        ...
