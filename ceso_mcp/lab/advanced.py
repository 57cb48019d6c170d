"""The values of the host's advanced options: one set of data for vim-cmd, esxcli and sshd.

Values are kept in `World.vim.advanced` under hostd's dotted names; what sshd's lock-out goes by is kept in
the world's own fields, which `Lab.configure` changes too.
"""

from __future__ import annotations

from ceso_mcp.lab.world import World

LOCK_FAILURES, UNLOCK_TIME = "Security.AccountLockFailures", "Security.AccountUnlockTime"


def dotted(path: str) -> str:
    """`/Net/GuestIPHack` as hostd names it."""
    return path.strip("/").replace("/", ".")


def fill(world: World) -> None:
    """Give hostd the options that esxcli lists and it does not have yet."""
    for setting in world.host.settings:
        if not setting.hidden:
            world.vim.advanced.setdefault(dotted(setting.path), setting.value)


def value(world: World, key: str) -> int | str:
    """Raises KeyError when there is no such option."""
    if key == LOCK_FAILURES:
        return world.lock_failures
    if key == UNLOCK_TIME:
        return int(world.unlock_s)
    return world.vim.advanced[key]


def store(world: World, key: str, new: int | str) -> None:
    world.vim.advanced[key] = new
    if key == LOCK_FAILURES:
        world.lock_failures = int(new)
    elif key == UNLOCK_TIME:
        world.unlock_s = float(new)
