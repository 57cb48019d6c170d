"""A bucket of an S3 server as a target.

A PUT is atomic, so there are no drafts. What must happen once is a conditional PUT: `If-None-Match` to
create, `If-Match` to take or give back a lock. Deleting knows no condition, so a lock that was given
back is an empty object: it counts as absent, and the next holder replaces exactly that version.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
)

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.target import Blob, Entry
from ceso_mcp.repository.targets.object_names import object_name
from ceso_mcp.repository.targets.s3_faults import fault_of_s3, tells_nothing

T = TypeVar("T")
MULTIPART_BYTES = 64 << 20
PART_BYTES = 16 << 20
_PARTS_AT_ONCE = 4
_LOCKS = "locks/"
_CLAIM = "tmp/claim-"
_CLAIM_S = 3600.0


class S3Target:
    """Keeps objects in `store`, an obstore client whose prefix is the repository's.

    With `conditional_put` false the store's conditions are not relied on: then two writers at once are
    only noticed before one of them commits. `first` is a client without patience, for the first contact:
    who was never reached is not waited for.
    """

    def __init__(
        self, store: Any, title: str, *, conditional_put: bool = True, first: Any | None = None
    ) -> None:
        self._store = store
        self._first = first
        self._title = title
        self._conditional = conditional_put
        self._proved = not conditional_put
        self._proving = threading.Lock()

    @property
    def title(self) -> str:
        return self._title

    def close(self) -> None:
        return

    def prepare(self) -> set[str]:
        self._require_conditions()
        found = self._call("the bucket", lambda: obstore.list_with_delimiter(self._store))
        paths = [*found["common_prefixes"], *(item["path"] for item in found["objects"])]
        return {path.strip("/").rpartition("/")[2] for path in paths}

    def put(self, name: str, content: Blob) -> bool:
        object_name(name)
        if self.exists(name):
            return False
        if sum(len(piece) for piece in content) > MULTIPART_BYTES:
            parts = [bytes(piece) for piece in content]
            self._call(
                name,
                lambda: obstore.put(
                    self._store,
                    name,
                    iter(parts),
                    use_multipart=True,
                    chunk_size=PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                ),
            )
            return True
        whole = b"".join(content)
        if self._put(name, whole, "create" if self._conditional else "overwrite"):
            return True
        # It was not there a moment ago: a request whose answer was lost and which was sent again.
        return self.get(name) == whole

    def create(self, name: str, content: bytes) -> bool:
        object_name(name)
        if self._conditional:
            self._require_conditions()
            return self._put(name, content, "create")
        if self.exists(name):
            return False
        return self._put(name, content, "overwrite") and self.get(name) == content

    def replace(self, name: str, content: bytes) -> None:
        self._put(object_name(name), content, "overwrite")

    def get(self, name: str) -> bytes:
        content = self._get(name)[0]
        if not content and name.startswith(_LOCKS):
            raise self._absent(name)
        return content

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        object_name(name)
        if length == 0:
            return b""
        if self.size(name) < offset + length:
            raise RepositoryFault(f"{name} ends before byte {offset + length}")

        def read() -> bytes:
            try:
                return bytes(obstore.get_range(self._store, name, start=offset, length=length))
            except GenericError as error:
                if "non-partial" not in str(error):
                    raise
                return self.get(name)[offset : offset + length]  # a store that knows no ranges

        found = self._call(name, read)
        if len(found) != length:
            raise RepositoryFault(f"{name} ends before byte {offset + length}")
        return found

    def list(self, folder: str) -> Iterator[Entry]:
        object_name(folder)
        chunks = iter(self._call(folder, lambda: obstore.list(self._store, folder, chunk_size=1000)))
        while chunk := self._call(folder, lambda: next(chunks, None)):
            for item in chunk:
                entry = Entry(item["path"], item["size"])
                if not (_is_given_back(entry.name, entry.size_bytes) or entry.name.startswith(_CLAIM)):
                    yield entry

    def exists(self, name: str) -> bool:
        try:
            self.size(name)
        except RepositoryFault as fault:
            if fault.code == "no_such_object":
                return False
            raise
        return True

    def size(self, name: str) -> int:
        size = int(self._head(name)["size"])
        if _is_given_back(name, size):
            raise self._absent(name)
        return size

    def delete(self, name: str) -> None:
        object_name(name)
        try:
            self._call(name, lambda: obstore.delete(self._store, name), told=False)
        except FileNotFoundError:
            return
        except PermissionDeniedError as error:
            raise RepositoryFault(
                f"the store {self._title} refused to delete {name}",
                code="repository_read_only",
                hint="see whether this key may delete, and whether the bucket retains its objects (Object"
                " Lock); then they go when their time is over",
            ) from error
        except BaseError as error:
            raise fault_of_s3(error, self._title, name) from error

    def lock(self, name: str, content: bytes) -> bool:
        if not self._conditional:
            return self.create(name, content)
        if self.create(name, content):
            return True
        found, tag = self._get(name)
        if found == content:
            return True  # a request whose answer was lost, sent again
        if found:
            return False
        return self._put(name, content, {"e_tag": tag}) or self._get(name)[0] == content

    def unlock(self, name: str, expected: bytes) -> bool:
        object_name(name)
        try:
            found, tag = self._get(name)
        except RepositoryFault as fault:
            if fault.code == "no_such_object":
                return False
            raise
        if found != expected or not expected:
            return False
        return self._put(name, b"", {"e_tag": tag} if self._conditional else "overwrite")

    def age_s(self, name: str) -> float:
        written = self._head(name)["last_modified"]
        return float((self._now() - written).total_seconds())

    def drafts(self) -> Iterator[Entry]:
        # Only probes and looks at the clock leave any. Parts of uploads that never ended are not to be
        # seen here: a rule of the bucket removes them.
        chunks = self._call("tmp", lambda: list(obstore.list(self._store, "tmp")))
        items = [item for chunk in chunks for item in chunk]
        now = self._now() if items else None
        for item in items:
            if now is None or (now - item["last_modified"]).total_seconds() >= _CLAIM_S:
                yield Entry(item["path"], item["size"])

    def free_bytes(self) -> int | None:
        return None

    # -- inside --------------------------------------------------------------------------------

    def _require_conditions(self) -> None:
        """Find out once whether the store honours conditions: many take them and do nothing."""
        with self._proving:
            if not self._proved:
                self._prove_conditions()

    def _prove_conditions(self) -> None:
        name = _CLAIM + secrets.token_hex(12)
        try:
            first = self._put(name, b"one", "create")
            second = self._put(name, b"two", "create")
            stale = self._put(name, b"three", {"e_tag": '"0123456789abcdef0123456789abcdef"'})
            kept = bytes(self._get(name)[0]) == b"one"
        finally:
            with contextlib.suppress(RepositoryFault):
                self.delete(name)
        if not first or second or stale or not kept:
            raise RepositoryFault(
                f"the store {self._title} does not honour conditional requests, so two writers could"
                " damage each other's backups",
                code="repository_unfit",
                hint="use a store that does, or set conditional_put = false and see to it yourself that"
                " only one ceso writes at a time",
            )
        self._proved = True

    def _put(self, name: str, content: bytes, mode: Any) -> bool:
        """False if the condition `mode` was not met."""
        try:
            self._call(
                name,
                lambda: obstore.put(self._store, name, content, mode=mode, use_multipart=False),
                told=False,
            )
        except (AlreadyExistsError, PreconditionError):
            return False
        except (FileNotFoundError, BaseError) as error:
            raise fault_of_s3(error, self._title, name) from error
        return True

    def _get(self, name: str) -> tuple[bytes, str | None]:
        object_name(name)

        def read() -> tuple[bytes, str | None]:
            found = obstore.get(self._store, name)
            tag = found.meta["e_tag"]
            return bytes(found.bytes()), tag

        return self._call(name, read)

    def _head(self, name: str) -> Any:
        object_name(name)
        try:
            return self._call(name, lambda: obstore.head(self._store, name), told=False)
        except FileNotFoundError as error:
            raise fault_of_s3(error, self._title, name) from error
        except BaseError as error:
            if tells_nothing(error):
                self._get(name)  # the answer to HEAD has no text; this one's has
            raise fault_of_s3(error, self._title, name) from error

    def _now(self) -> Any:
        name = _CLAIM + secrets.token_hex(12)
        self._put(name, b"", "overwrite")
        try:
            return self._head(name)["last_modified"]
        finally:
            self.delete(name)

    def _call(self, what: str, work: Callable[[], T], *, told: bool = True) -> T:
        first, self._first = self._first, None
        if first is not None:
            try:
                obstore.head(first, "ceso-repo.json")
            except (FileNotFoundError, BaseError) as error:
                fault = fault_of_s3(error, self._title, what)
                if fault.code == "repository_gone":
                    self._first = first
                    raise fault from error
        try:
            return work()
        except (FileNotFoundError, BaseError) as error:
            if not told:
                raise
            raise fault_of_s3(error, self._title, what) from error

    def _absent(self, name: str) -> RepositoryFault:
        return RepositoryFault(f"{name} is not in the repository {self._title}", code="no_such_object")


def _is_given_back(name: str, size_bytes: int) -> bool:
    return size_bytes == 0 and name.startswith(_LOCKS)
