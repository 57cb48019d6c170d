"""Making a repository at a place, or finding that the one there is the one that was meant."""

from __future__ import annotations

from collections.abc import Sequence

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository import seal
from ceso_mcp.repository.by_hand import RESTORE_SH, RESTORE_TXT
from ceso_mcp.repository.passphrase import KEY, new_key, read_key
from ceso_mcp.repository.recipients import kept_alike
from ceso_mcp.repository.store import SETTINGS, Settings
from ceso_mcp.repository.target import Target

_OURS = {"RESTORE.txt", KEY, "restore.sh", "packs", "backups", "locks", "tmp", "lost+found"}


def is_repository(target: Target) -> bool:
    """Whether there is a repository at `target`. Raises RepositoryFault if that cannot be told."""
    try:
        return target.exists(SETTINGS)
    except RepositoryFault as fault:
        if isinstance(fault.__cause__, FileNotFoundError):
            return False
        raise


def made(
    target: Target,
    recipients: Sequence[str],
    pack_bytes: int,
    like: Settings | None,
    passphrase: str | None = None,
) -> Settings:
    """The settings of the repository at `target`, made if there is none (`Repository.init_at`)."""
    wanted = [text.strip() for text in (recipients if like is None else like.recipients)]
    key = None
    if passphrase is not None and like is None:
        there = is_repository(target)
        key = read_key(target, passphrase) if there else new_key(passphrase)
        if key is None:
            raise RepositoryFault(
                f"the repository {target.title} has no {KEY} that a passphrase could open",
                code="settings_differ",
                hint="leave `passphrase` out of the configuration, or make another repository",
            )
        wanted.append(key.public)
    seal.check_recipients(wanted)
    if not is_repository(target):
        _require_room_for_one(target)
        # The settings come last: with them it is a repository.
        target.replace("RESTORE.txt", RESTORE_TXT.encode())
        target.replace("restore.sh", RESTORE_SH.encode())
        if key is not None:
            target.replace(KEY, key.stored)
        target.create(SETTINGS, (like or Settings.new(wanted, pack_bytes)).text())
    settings = Settings.load(target)
    if like is not None and settings.id != like.id:
        raise RepositoryFault(
            f"the repository {target.title} is another one, and no copy of this one",
            code="settings_differ",
            hint="copy to a new or empty place",
        )
    if like is not None:
        return kept_alike(target, settings, like)
    if set(settings.recipients) != set(wanted):
        raise RepositoryFault(
            f"the repository {target.title} is sealed to other recipients than those given",
            code="settings_differ",
            hint="use the recipients in its ceso-repo.json, or make another repository",
        )
    return settings


def _require_room_for_one(target: Target) -> None:
    found = target.prepare()
    # What an earlier, interrupted `init` left may be continued; data may not be taken over.
    if not found <= _OURS or any(True for sub in ("packs", "backups") for _ in target.list(sub)):
        raise RepositoryFault(
            f"{target.title} is not empty and is no ceso repository",
            code="not_a_repository",
            hint="give a new or empty folder",
        )
