"""Prompts: texts in `prompts/*.md`, with arguments that are checked before they are put in.

A file begins with TOML between two lines `+++` (name, title, description, arguments) and goes on
with the text, in which `{argument}` stands for its value.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from mcp import MCPError, types
from pydantic import BaseModel, ConfigDict, Field

import ceso_mcp
from ceso_mcp.surfaces.mcp.untrusted import tame

VALUE_CHARACTERS = 300
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
Source = Literal["vms", "templates", "datastores", "portgroups", "backups"]


class PromptParameter(BaseModel):
    """One argument. `completes` says which known names are offered for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z_]*$")
    description: str
    required: bool = True
    default: str = ""
    pattern: str = r"[^\s].*"
    completes: Source | None = None


class PromptText(BaseModel):
    """One prompt as its file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    description: str
    arguments: tuple[PromptParameter, ...] = ()
    body: str

    @property
    def listing(self) -> types.Prompt:
        return types.Prompt(
            name=self.name,
            title=self.title,
            description=self.description,
            arguments=[
                types.PromptArgument(name=a.name, description=a.description, required=a.required)
                for a in self.arguments
            ],
        )

    def parameter(self, name: str) -> PromptParameter | None:
        return next((a for a in self.arguments if a.name == name), None)

    def filled(self, values: dict[str, str]) -> str:
        """The text with `values` in it; raises MCPError -32602 that names the argument, not its value."""
        unknown = sorted(set(values) - {a.name for a in self.arguments})
        if unknown:
            raise MCPError(
                types.INVALID_PARAMS, f"{self.name} has no argument {tame(', '.join(unknown), 100)}"
            )
        chosen = {a.name: self._value(a, values.get(a.name)) for a in self.arguments}
        return _PLACEHOLDER.sub(lambda match: chosen[match[1]], self.body)

    def _value(self, argument: PromptParameter, value: str | None) -> str:
        if value is None or value == "":
            if argument.required:
                raise MCPError(types.INVALID_PARAMS, f"{self.name} needs the argument {argument.name}")
            return argument.default
        if len(value) > VALUE_CHARACTERS or value != tame(value) or "\n" in value:
            raise MCPError(
                types.INVALID_PARAMS,
                f"{argument.name}: one line of at most {VALUE_CHARACTERS} visible characters",
            )
        if not re.fullmatch(argument.pattern, value):
            raise MCPError(types.INVALID_PARAMS, f"{argument.name}: {argument.description}")
        return value


def read_prompt(text: str) -> PromptText:
    """The prompt in the text of a file; raises ValueError if it is not one."""
    parts = re.match(r"\+\+\+\n(.*?)\n\+\+\+\n+(.*)\Z", text, re.S)
    if parts is None:
        raise ValueError("a prompt begins with TOML between two lines of +++")
    prompt = PromptText.model_validate({**tomllib.loads(parts[1]), "body": parts[2].strip()})
    names = {argument.name for argument in prompt.arguments}
    if set(_PLACEHOLDER.findall(prompt.body)) != names:
        raise ValueError(f"prompt {prompt.name}: its text and its arguments do not fit")
    return prompt


def prompt_folder() -> Path:
    """Where the prompts are: inside an installed package, else beside it in the repository."""
    package = Path(ceso_mcp.__file__).parent
    installed = package / "prompts"
    return installed if installed.is_dir() else package.parent / "prompts"


@cache
def prompts() -> dict[str, PromptText]:
    """All prompts, by name, sorted."""
    found = [read_prompt(path.read_text("utf-8")) for path in sorted(prompt_folder().glob("*.md"))]
    return {prompt.name: prompt for prompt in sorted(found, key=lambda prompt: prompt.name)}
