"""A limit on how fast one stream flows."""

from __future__ import annotations

import time


class Throttle:
    """`bytes_s` bytes a second; 0 lets everything through."""

    def __init__(self, bytes_s: int) -> None:
        self._bytes_s = bytes_s
        self._free_at = 0.0

    def after(self, count: int) -> float:
        """The seconds to wait before more may flow, now that `count` bytes have."""
        if not self._bytes_s:
            return 0.0
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / self._bytes_s
        return self._free_at - now
