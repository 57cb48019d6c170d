"""Who holds which disk extent (fact sheet vmkfstools-and-files §3)."""

from __future__ import annotations

# What each mode tolerates beside it: a running VM holds its top link "exclusive" and the links below
# "shared"; vmkfstools reads with "read" and changes with "write".
TOLERATES = {
    "exclusive": frozenset[str](),
    "shared": frozenset({"shared", "read"}),
    "read": frozenset({"shared", "read"}),
    "write": frozenset[str](),
}
MODES = {"exclusive": 1, "write": 1, "shared": 2, "read": 2}


class Locks:
    """Extents by their path of the host, each with the owners and modes that hold it."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, str]] = {}

    def take(self, path: str, owner: str, mode: str) -> bool:
        """Take the lock unless another owner holds one that does not tolerate it."""
        holders = self._held.setdefault(path, {})
        if any(mode not in TOLERATES[held] for other, held in holders.items() if other != owner):
            return False
        holders[owner] = mode
        return True

    def release(self, owner: str) -> None:
        """Drop everything that `owner` holds."""
        for path in list(self._held):
            self._held[path].pop(owner, None)
            if not self._held[path]:
                del self._held[path]

    def held(self, owner: str) -> list[str]:
        """The paths that `owner` holds."""
        return sorted(path for path, holders in self._held.items() if owner in holders)

    def mode(self, path: str) -> int:
        """0 free, 1 exclusive, 2 shared, as `vmkfstools -D` prints it."""
        holders = self._held.get(path, {})
        return min((MODES[mode] for mode in holders.values()), default=0)
