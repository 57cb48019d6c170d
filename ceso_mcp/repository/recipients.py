"""Changing to whom a repository is sealed: new backups only, what is there stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository import seal
from ceso_mcp.repository.lock import RepositoryLock
from ceso_mcp.repository.passphrase import KEY, PassphraseKey
from ceso_mcp.repository.prune import release_quietly
from ceso_mcp.repository.store import SETTINGS, Settings
from ceso_mcp.repository.target import Target

NEVER = datetime.min.replace(tzinfo=UTC)


def set_recipients(
    target: Target,
    before: Sequence[str],
    recipients: Sequence[str],
    since: datetime | None = None,
    key: PassphraseKey | None = None,
) -> None:
    """From now on (`since`), seal what is written at `target` to `recipients`; `key` becomes its `key.age`.

    The time is taken under the lock: a backup that was made after a preview is sealed to the former ones.
    Raises InvalidArguments for a bad recipient; RepositoryFault `settings_differ` if it is not sealed to
    `before` now or if it would change how it is sealed, `repository_locked` while somebody writes.
    """
    seal.check_recipients(recipients)
    lock = RepositoryLock(target, "recipients")
    try:
        settings = Settings.load(target)
        if set(settings.recipients) != set(before):
            raise RepositoryFault(
                f"the repository {target.title} is sealed to other recipients than were shown",
                code="settings_differ",
                hint="look at the new preview",
            )
        if seal.encryption_of(recipients) != settings.encryption:
            raise RepositoryFault(
                f"the repository {target.title} cannot change how it is sealed", code="settings_differ"
            )
        if key is not None and not target.exists(KEY):
            target.replace(KEY, key.stored)
        changed = {"recipients": tuple(recipients), "recipients_since": since or datetime.now(UTC)}
        new = settings.model_copy(update=changed)
        lock.require()
        target.replace(SETTINGS, new.text())
    finally:
        release_quietly(lock)


def kept_alike(target: Target, settings: Settings, like: Settings) -> Settings:
    """The settings of a copy, which takes over recipients that were changed since; never older ones."""
    if (like.recipients_since or NEVER) <= (settings.recipients_since or NEVER):
        return settings
    target.replace(SETTINGS, like.text())
    return Settings.load(target)
