"""The fault rules at work: which rule hits which call, kept in a file so that they outlive the server."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

from ceso_mcp.lab.records import Fault


class FaultRules:
    """The rules in the order they were added; the first that hits wins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rules: list[Fault] = []
        self._matches: dict[str, int] = {}
        self.reload()

    def reload(self) -> None:
        """Read the rules again from their file; counts start anew."""
        self._rules, self._matches = [], {}
        if self._path.exists():
            self._rules = [Fault.from_json(item) for item in json.loads(self._path.read_text())]

    def all(self) -> tuple[Fault, ...]:
        return tuple(self._rules)

    def add(self, fault: Fault) -> str:
        """Keep a rule and return its id."""
        numbers = [int(rule.id[1:]) for rule in self._rules if re.fullmatch(r"f\d+", rule.id)]
        identified = replace(fault, id=fault.id or f"f{max(numbers, default=0) + 1}")
        self._rules.append(identified)
        self._store()
        return identified.id

    def clear(self) -> None:
        self._rules, self._matches = [], {}
        self._store()

    def hit(self, where: str, text: str) -> Fault | None:
        """The rule that this call runs into, if any; counts the call for every rule it matches."""
        chosen: Fault | None = None
        for rule in self._rules:
            if rule.where != where or not re.search(rule.match, text):
                continue
            count = self._matches[rule.id] = self._matches.get(rule.id, 0) + 1
            live = count > rule.after and (rule.times is None or count <= rule.after + rule.times)
            if live and chosen is None:
                chosen = rule
        return chosen

    def _store(self) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps([rule.to_json() for rule in self._rules], indent=1))
        os.replace(temporary, self._path)
