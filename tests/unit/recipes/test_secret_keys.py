"""What may be secret in a .vmx: hidden where it is written, and taken out by the host's own grep."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.facts.inventory import Vm
from ceso_mcp.guest.guestinfo import MAY_BE_SECRET, METADATA_KEYS, REPORTED_KEYS, SECRET_KEYS
from ceso_mcp.recipes.rewriting import Rewriting, lines_of
from ceso_mcp.recipes.secret_keys import scrub_after_power_off
from ceso_mcp.redact import Redactor
from ceso_mcp.text import Text

KEYS = (*SECRET_KEYS, *METADATA_KEYS, *REPORTED_KEYS, "guestinfo.userdata2", "memSize", "annotation")
LINES = st.lists(
    st.tuples(
        st.sampled_from(KEYS).flatmap(lambda key: st.sampled_from([key, key.upper(), key.title()])),
        st.sampled_from(
            ["---", "", " ", "c2VjcmV0", "c2VjcmV0c2VjcmV0", "--- ", "guestinfo.userdata = |22---|22"]
        ),
        st.sampled_from([" = ", "=", "\t=  "]),
    ),
    max_size=12,
)


def vmx_of(lines: list[tuple[str, str, str]]) -> str:
    return "".join(f'{key}{equals}"{value}"\n' for key, value, equals in lines)


@given(LINES)
def test_hiding_changes_no_byte_and_shows_no_secret(lines: list[tuple[str, str, str]]) -> None:
    text = Vmx.parse(vmx_of(lines)).text(MAY_BE_SECRET)
    assert text.sent().decode() == vmx_of(lines)
    for line in text.shown().splitlines():
        key, _, value = line.partition("=")
        if key.strip().lower() in ("guestinfo.userdata", "guestinfo.vendordata"):
            assert value.strip(' "') in ("", "---") or "‹secret" in value


def grep(pattern: str, text: str) -> list[str]:
    """The lines that the host's own grep leaves."""
    argv = ["busybox", "grep", "-v", "-i", "-E", pattern]
    return subprocess.run(argv, input=text, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="needs the package busybox-static")
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_power_off_takes_exactly_what_was_overwritten(tmp_path: Path, newline: str) -> None:
    kept = [
        '.encoding = "UTF-8"',
        'guestinfo.metadata = "---"',
        'guestinfo.vendordata = "c2VjcmV0"',
        'guestinfo.vendordata.encoding = "base64"',
        'guestinfo.userdata2 = "---"',
        'annotation = "guestinfo.userdata = |22---|22"',
    ]
    gone = ['guestinfo.userdata = "---"', 'GuestInfo.UserData.encoding = " "', 'guestinfo.vendordata=""']
    vm = Vm(1, "a", DatastorePath("ds", "a/a.vmx"), "on", None)
    line = scrub_after_power_off(vm, "0f0f0f0f")[0].line()
    place = tmp_path / "a.vmx"
    place.write_bytes("".join(text + newline for text in [*gone, *kept]).encode())
    here = line.replace("/vmfs/volumes/ds/a", str(tmp_path))
    subprocess.run(["busybox", "sh", "-c", here], check=True)
    assert place.read_bytes() == "".join(text + newline for text in kept).encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.vmx"]


@pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="needs the package busybox-static")
def test_lines_are_found_by_their_whole_keys() -> None:
    others = ['guestinfoXuserdata = "a"', 'guestinfo.userdatax = "c"', 'x = "guestinfo.userdata ="']
    text = "\n".join([' guestinfo.USERDATA="b"', *others]) + "\n"
    assert grep(lines_of(["guestinfo.userdata"]), text) == others


@pytest.mark.parametrize(
    "text",
    [
        'guestinfo.userdata = "c2VjcmV0"',
        'key = "guestinfo.userdata", value = "c2VjcmV0"',
        'guestinfo.vendordata="c2VjcmV0',
    ],
)
def test_logs_hide_it_in_whatever_form_the_host_says_it(text: str) -> None:
    assert "c2VjcmV0" not in Redactor().clean(text)
    assert Redactor().clean('guestinfo.userdata = "---"') == 'guestinfo.userdata = "---"'


@pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="needs the package busybox-static")
def test_a_copy_that_cannot_be_read_makes_no_new_configuration(tmp_path: Path) -> None:
    vm = Vm(1, "a", DatastorePath("ds", "a/a.vmx"), "off", None)
    rewriting = Rewriting(vm, ("guestinfo.userdata",), Text.of('guestinfo.userdata = "x"\n'), "0f0f0f0f")
    write = next(step for step in rewriting.steps() if step.stdin is not None)
    here = write.line().replace("/vmfs/volumes/ds/a", str(tmp_path))
    assert subprocess.run(["busybox", "sh", "-c", here], input=b"x", stderr=subprocess.DEVNULL).returncode
    kept = tmp_path / "a.vmx.before-0f0f0f0f"
    kept.write_text('a = "1"\nguestinfo.userdata = "old"\n')
    assert write.stdin is not None
    subprocess.run(["busybox", "sh", "-c", here], input=write.stdin.sent(), check=True)
    assert (tmp_path / "a.vmx.new-0f0f0f0f").read_text() == 'a = "1"\nguestinfo.userdata = "x"\n'
