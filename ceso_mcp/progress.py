"""How the progress of a job gets to its row: seldom enough, and never lost."""

from __future__ import annotations

import time
from collections.abc import Callable


class ThrottledProgress:
    """Passes progress on at most twice a second, percent never going back; `flush` brings what waits."""

    def __init__(self, tell: Callable[[str, float | None], None]) -> None:
        self._tell = tell
        self._last = 0.0
        self._percent = 0.0
        self._waiting: str | None = None

    def __call__(self, message: str, percent: float | None) -> None:
        if percent is not None:
            self._percent = max(self._percent, percent)
        self._waiting = message
        self.flush()

    def flush(self) -> None:
        """Pass on what was held back, unless something was told less than half a second ago."""
        now = time.monotonic()
        if self._waiting is not None and now - self._last >= 0.5:
            self._last, message, self._waiting = now, self._waiting, None
            self._tell(message, round(self._percent, 1))
