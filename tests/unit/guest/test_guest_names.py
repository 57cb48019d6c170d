from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ceso_mcp.guest import names


@pytest.mark.parametrize("text", ["web01", "Web01", "a", "a-b", "web01.example.test", "3com", "x" * 63])
def test_a_valid_hostname_is_kept_as_it_is(text: str) -> None:
    assert names.hostname(text) == text


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "empty"),
        ("web01.", "end with a dot"),
        (".web", "two dots"),
        ("a..b", "two dots"),
        ("web_01", "underscore"),
        ("-web", "begin or end with a dash"),
        ("web-.test", "begin or end with a dash"),
        ("x" * 64, "at most 63"),
        (".".join(["x" * 60] * 5), "at most 253"),
        ("12345", "digits only"),
        ("192.0.2.1", "digits only"),
        ("web.24", "digits only"),
        ("wéb", "letters a-z"),
        ("web 1", "letters a-z"),
        ("web\n", "letters a-z"),
        ("$(reboot)", "letters a-z"),
    ],
)
def test_each_mistake_in_a_hostname_has_its_own_words(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        names.hostname(text)


@pytest.mark.parametrize(
    ("vm_name", "expected"),
    [
        ("it's a $(reboot)", "its-a-reboot"),
        ("ünïcode", "unicode"),
        ("Web 01", "web-01"),
        ("Ubuntu 24.04", "ubuntu-24-04"),
        ("web.v2", "web-v2"),
        ("web01.example.test", "web01.example.test"),
        ("Łódź", "lodz"),
        ("straße", "strasse"),
        ("--a--", "a"),
        ("x" * 62 + " y", "x" * 62),
        ("日本", None),
        ("2024", None),
        ("$$$", None),
    ],
)
def test_a_vm_name_gives_a_readable_hostname_or_none(vm_name: str, expected: str | None) -> None:
    assert names.default_hostname(vm_name) == expected


@given(st.text(max_size=100))
def test_a_derived_hostname_is_always_valid(vm_name: str) -> None:
    derived = names.default_hostname(vm_name)
    if derived is not None:
        assert names.hostname(derived) == derived
        assert derived == derived.lower()


@pytest.mark.parametrize("text", ["ubuntu", "_svc", "a", "deploy-1", "x" * 32])
def test_an_ordinary_user_name_is_accepted(text: str) -> None:
    assert names.linux_user(text) == text


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("root", "must not be root"),
        ("", "begins with"),
        ("1st", "begins with"),
        ("Anna", "begins with"),
        ("-x", "begins with"),
        ("x" * 33, "at most 32"),
        ("an na", "made of"),
        ("anna\n", "made of"),
        ("anna.b", "made of"),
        ("www-data", "system account"),
        ("sudo", "system account"),
    ],
)
def test_each_mistake_in_a_user_name_has_its_own_words(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        names.linux_user(text)


@pytest.mark.parametrize("text", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_time_zones_of_the_database_are_accepted(text: str) -> None:
    assert names.time_zone(text) == text


@pytest.mark.parametrize("text", ["", "/etc/passwd", "../x", "Europe/../x", "a b", "Europe/", "UTC\n"])
def test_a_time_zone_cannot_be_a_path(text: str) -> None:
    with pytest.raises(ValueError, match="IANA"):
        names.time_zone(text)


@pytest.mark.parametrize(
    "text", ["nginx", "g++", "libc6", "python3.12-venv", "nginx=1.24.0-2ubuntu7~x", "r-base"]
)
def test_package_names_are_accepted(text: str) -> None:
    assert names.package(text) == text


@pytest.mark.parametrize(
    "text", ["", "nginx-", "-y", "Nginx", "a b", "nginx;reboot", "nginx=", "nginx=-1", "../a.deb"]
)
def test_a_package_cannot_be_an_option_or_a_removal(text: str) -> None:
    with pytest.raises(ValueError, match="package"):
        names.package(text)


def test_the_annotated_types_apply_the_checks() -> None:
    assert TypeAdapter(names.Hostname).validate_python("web01") == "web01"
    for kind, bad in [
        (names.Hostname, "a_b"),
        (names.LinuxUser, "root"),
        (names.TimeZone, "a b"),
        (names.Package, "nginx-"),
        (names.SshPublicKey, "nonsense"),
    ]:
        with pytest.raises(ValueError):
            TypeAdapter(kind).validate_python(bad)
