"""Who gets in over SSH: the key file, the lock-out after failures, the limit on log-ins that wait."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh

from ceso_mcp.lab.world import World

# strictmodes yes (shell-sshd-config-1): a key file that others may write is not believed.
WRITABLE_BY_OTHERS = 0o022
# asyncssh would put the forced command in the place of the client's and forget that one; under another
# name both are kept.
COMMAND_OPTION = re.compile(r'(^|,)command="', re.IGNORECASE)
FORCED = "forced-command"
# FIPS mode does without this kind of key (shell-ssh-ed25519-denied-1).
FOREIGN = "ssh-ed25519"


def key_file(etc: Path, user: str) -> Path:
    """`authorizedkeysfile /etc/ssh/keys-%u/authorized_keys` (shell-sshd-T-1)."""
    return etc / "ssh" / f"keys-{user}" / "authorized_keys"


def seed_key_file(etc: Path, public_key: str) -> None:
    """Let the lab's own client key in, as an administrator would have done."""
    place = key_file(etc, "root")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.parent.chmod(0o755)
    place.write_text(public_key)
    place.chmod(0o600)


class Access:
    """The door of one host; `world` gives the settings that hold now."""

    def __init__(self, etc: Path, world: Callable[[], World]) -> None:
        self._etc = etc
        self._world = world
        self._failures: dict[str, tuple[int, float]] = {}
        self.waiting = 0

    def authorized(self, user: str) -> asyncssh.SSHAuthorizedKeys | None:
        """The keys that log `user` in, with their options; a line that sshd cannot read is passed over."""
        place = key_file(self._etc, user)
        try:
            if (place.stat().st_mode | place.parent.stat().st_mode) & WRITABLE_BY_OTHERS:
                return None
            lines = place.read_text("utf-8", "replace").splitlines()
        except OSError:
            return None
        good = []
        for line in lines:
            try:
                if line.strip() and not line.lstrip().startswith("#") and FOREIGN not in line.split():
                    renamed = COMMAND_OPTION.sub(rf'\1{FORCED}="', line, count=1)
                    asyncssh.import_authorized_keys(renamed)
                    good.append(renamed)
            except ValueError:
                continue
        return asyncssh.import_authorized_keys("\n".join(good)) if good else None

    def locked(self, user: str) -> bool:
        """Security.AccountLockFailures and AccountUnlockTime: 5 and 900 s in all releases (§3.4)."""
        world = self._world()
        count, last = self._failures.get(user, (0, 0.0))
        if count and time.monotonic() - last > world.unlock_s:
            del self._failures[user]
            return False
        return 0 < world.lock_failures <= count

    def failed(self, user: str) -> None:
        """A wrong password."""
        self._failures[user] = (self._failures.get(user, (0, 0.0))[0] + 1, time.monotonic())

    def forget(self, user: str) -> None:
        """A right one, or `pam_tally2 --reset`."""
        self._failures.pop(user, None)

    def full(self) -> bool:
        """True when a new connection is to be dropped: `maxstartups 10:30:100` (shell-sshd-config-1).

        From `start` log-ins under way, `rate` per cent of the new connections are dropped, rising to all
        of them at `limit`.
        """
        start, rate, limit = (int(part) for part in self._world().max_startups.split(":"))
        if self.waiting < start:
            return False
        if self.waiting >= limit:
            return True
        share = rate + (100 - rate) * (self.waiting - start) / max(1, limit - start)
        return random.random() * 100 < share
