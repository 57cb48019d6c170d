"""A file with user data on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.fact import Fact, Reading
from ceso_mcp.guest.data_file import DataFile, UserDataAt


@dataclass(frozen=True, slots=True)
class UserDataFile(Fact[DataFile]):
    """The file at `path`, read at each planning anew."""

    path: str

    def reading(self) -> Reading[DataFile]:
        (found,) = yield [UserDataAt(self.path)]
        return found  # type: ignore[no-any-return]
