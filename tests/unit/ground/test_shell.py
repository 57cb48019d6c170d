"""Words become lines, whole; what could falsify a line is refused."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.shell import Captured, Detached, Glob, sh
from ceso_mcp.text import Secret, Text

words = st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=0, max_size=60)


@given(st.lists(words, min_size=1, max_size=5))
def test_every_word_reaches_a_real_shell_whole(given_words: list[str]) -> None:
    line = sh("printf", "%s\\0", *given_words).line
    out = subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout
    assert out.decode().split("\0")[:-1] == given_words


@pytest.mark.parametrize("word", ["a\nb", "a\0b", "a\x1b[31m", "a\x9b"])
def test_control_characters_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="control"):
        sh("echo", word)


def test_a_secret_cannot_be_a_word() -> None:
    with pytest.raises(TypeError):
        sh("echo", Secret("password", b"hunter2"))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        sh("echo", f"{Secret('password', b'hunter2')}")


def test_a_captured_word_is_bare_and_a_literal_brace_is_quoted() -> None:
    line = sh("vim-cmd", "vmsvc/power.on", Captured("vmid"), "{vmid}")
    assert line.line == "vim-cmd vmsvc/power.on {vmid} '{vmid}'"
    assert line.holes == ("vmid",)
    assert line.filled({"vmid": "7"}).line == "vim-cmd vmsvc/power.on 7 '{vmid}'"


def test_what_fills_a_hole_is_quoted() -> None:
    assert sh("echo", Captured("x")).filled({"x": "a; reboot"}).line == "echo 'a; reboot'"


def test_holes_are_found_beside_quotes_in_quotes() -> None:
    line = sh("echo", "it's {x}", Captured("x"), 'say "{x}"')
    assert line.holes == ("x",)
    assert line.filled({"x": "1"}).line == """echo 'it'"'"'s {x}' 1 'say "{x}"'"""


def test_a_hole_that_is_not_filled_is_an_error() -> None:
    with pytest.raises(KeyError):
        sh("echo", Captured("x")).filled({})


def test_a_glob_quotes_its_beginning_and_not_its_star() -> None:
    assert (
        sh("rm", "-f", Glob("/vmfs/volumes/d s/it's", "*")).line == """rm -f '/vmfs/volumes/d s/it'"'"'s'*"""
    )
    with pytest.raises(ValueError):
        Glob("/x", "*;reboot")


def test_the_text_shows_names_of_secrets_and_sends_their_values() -> None:
    text = Text.of("user=root\npassword=", Secret("host password", b"hunter2"), "\n")
    assert text.sent() == b"user=root\npassword=hunter2\n"
    assert text.shown() == "user=root\npassword=‹secret host password›\n"
    assert "hunter2" not in repr(text)


@dataclass(frozen=True)
class Here:
    path: Path

    def posix(self) -> str:
        return str(self.path)


def test_what_has_only_just_begun_is_running_although_it_has_no_output_yet(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    pid.write_text(str(os.getpid()))
    look = Detached(sh("true"), Here(tmp_path / "it's a copy"), PurePosixPath(pid)).look()
    ran = subprocess.run(["sh", "-c", look.line], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "running\n")
