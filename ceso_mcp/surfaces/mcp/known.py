"""Names that this machine has seen, for completion and for listing resources without asking the host.

Kept in one small file of the state directory, for one host. Names only; a damaged file counts as
none, because everything in it can be read again.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

_FILE = "mcp-known.json"
_KEPT = 2_000


@dataclass
class Names:
    """What was seen last. `vms` maps vmid to name."""

    vms: dict[str, str] = field(default_factory=dict)
    templates: list[str] = field(default_factory=list)
    datastores: list[str] = field(default_factory=list)
    portgroups: list[str] = field(default_factory=list)
    backups: list[str] = field(default_factory=list)


class Known:
    """The names seen on `host` (its identity), remembered in `directory`."""

    def __init__(self, directory: Path, host: str) -> None:
        self._path = directory / _FILE
        self._host = host
        self.names = self._read()

    def learn(self, operation: str, arguments: dict[str, Any], answer: dict[str, Any]) -> bool:
        """Take in the answer of a query; returns whether the VMs or backups are others now."""
        match operation:
            case "list_vms" if not arguments and answer.get("next_offset") is None:
                return self.see_vms({str(row["vmid"]): row["name"] for row in answer["vms"]})
            case "show_vm":
                return self.see_vms({**self.names.vms, str(answer["vmid"]): answer["name"]})
            case "list_backups" if not arguments and answer.get("next_offset") is None:
                return self.see_backups([row["backup_id"] for row in answer["backups"]])
            case "discover":
                self._see(
                    templates=[*answer["templates"], *answer["template_candidates"]],
                    datastores=[row["name"] for row in answer["datastores"]],
                    portgroups=[row["name"] for row in answer["portgroups"]],
                )
        return False

    def see_vms(self, vms: dict[str, str]) -> bool:
        """These are the VMs; returns whether that is news."""
        return self._see(vms=dict(list(vms.items())[:_KEPT]))

    def see_backups(self, backups: list[str]) -> bool:
        """These are the backups; returns whether that is news."""
        return self._see(backups=backups)

    def _see(self, **seen: Any) -> bool:
        news: dict[str, Any] = {
            name: value[:_KEPT] if isinstance(value, list) else value
            for name, value in seen.items()
            if getattr(self.names, name) != value
        }
        if news:
            self.names = replace(self.names, **news)
            self._write({"host": self._host, **asdict(self.names)})
        return bool(news)

    def _read(self) -> Names:
        try:
            document = json.loads(self._path.read_text("utf-8"))
            if document.pop("host") != self._host:
                return Names()
            names = Names(**document)
            texts = [*names.vms, *names.vms.values(), *names.templates, *names.backups]
            texts += [*names.datastores, *names.portgroups]
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return Names()
        return names if all(isinstance(text, str) for text in texts) else Names()

    def _write(self, document: dict[str, Any]) -> None:
        new = self._path.with_suffix(f".{secrets.token_hex(4)}.new")
        try:
            with open(
                os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
            ) as file:
                json.dump(document, file)
            os.replace(new, self._path)
        except OSError:
            new.unlink(missing_ok=True)  # a full disk costs completion, not the answer
