"""Every failure ceso anticipates: its code, its exit status, and what to do next.

A `CesoError` always answers three questions for its reader: what happened (`message`), whether
anything was changed (`changed`), and what to do next (`hint`). Codes are stable: clients and
scripts may match on them. Messages never contain a secret.
"""

from __future__ import annotations

from typing import ClassVar


class CesoError(Exception):
    """A failure the caller can act on.

    `code` is one lower-case word with underscores; `changed` says in a sentence what was changed
    on the host, or that nothing was.
    """

    exit_status: ClassVar[int] = 1
    default_code: ClassVar[str] = "failed"
    default_changed: ClassVar[str] = "Nothing was changed."

    def __init__(
        self, message: str, *, code: str | None = None, hint: str = "", changed: str | None = None
    ) -> None:
        self.code = code or self.default_code
        self.message = message
        self.hint = hint
        self.changed = self.default_changed if changed is None else changed
        super().__init__(message)

    def text(self) -> str:
        """One paragraph for a person or a model: `[code] message Changed… Hint: …`."""
        message = self.message if self.message[-1:] in ".!?:\n" else f"{self.message}."
        parts = [f"[{self.code}] {message}", self.changed]
        if self.hint:
            parts.append(f"Hint: {self.hint}")
        return " ".join(part for part in parts if part)


class InvalidArguments(CesoError):
    """The caller's arguments do not fit the operation. Never echoes a value."""

    exit_status = 2
    default_code = "invalid_arguments"


class ConfigFault(CesoError):
    """The configuration file, a secret or the state directory cannot be used as it is."""

    exit_status = 2
    default_code = "config"


class Refused(CesoError):
    """The operation was understood and is not safe or not possible on this host as it is now."""

    exit_status = 3
    default_code = "refused"


class TokenFault(CesoError):
    """A confirm token that cannot be honoured; the host was not touched."""

    exit_status = 4
    default_code = "token"


class HostFault(CesoError):
    """The host could not be reached, did not accept us, or did not answer in time."""

    exit_status = 5
    default_code = "host"
    default_changed = ""


class Unreadable(CesoError):
    """An output or file of the host that a parser cannot account for, line by line."""

    exit_status = 6
    default_code = "unreadable"
    default_changed = ""

    def __init__(self, what: str, detail: str, *, line: str | None = None) -> None:
        shown = "" if line is None else f": {line[:200]!r}"
        super().__init__(
            f"cannot read {what}: {detail}{shown}",
            hint="this output is not one that ceso knows; please report it with the ESXi version",
        )


class StepFailed(CesoError):
    """A step of a plan failed on the host; `changed` says what was undone or what is left."""

    exit_status = 7
    default_code = "step_failed"
    default_changed = ""


class RepositoryFault(CesoError):
    """A backup repository is missing, damaged, locked, full or sealed to another key."""

    exit_status = 8
    default_code = "repository"


class AuditFault(CesoError):
    """The audit log cannot be written or does not verify. No audit, no action."""

    exit_status = 9
    default_code = "audit"


class LabFault(CesoError):
    """The lab cannot start, stop or run as asked."""

    exit_status = 10
    default_code = "lab"
