from __future__ import annotations

import base64
import email
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceso_mcp.guest.cloudinit import GuestNic, as_yaml, metadata, user_data
from ceso_mcp.guest.network import NicAddressing

MAC = "00:50:56:01:02:03"
KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))).decode()
AWKWARD = [
    "null", "no", "0123", "0x1f", "1e3", "1:30", "~", "- a", "a: b", "#x", "!!str x", "&a *a", "%", "@", "`",
    "'", '"', "\\", "\\n", "{{ x }}", "$(reboot)", "\t", "\n", "a\nb\n", "\x7f", "\x85", "\xa0", "\u2028",
    "\ufeff", "\ufffe", "ü", "😀", "---", "...", "| x", "> x", "yes", "2001-01-01", "=", "<<",
]  # fmt: skip

texts = st.one_of(st.sampled_from(AWKWARD), st.text(max_size=30))
scalars = st.one_of(texts, st.booleans(), st.none(), st.integers())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(texts, values, max_size=5))
def test_whatever_is_written_a_yaml_reader_reads_the_same(document: dict[str, Any]) -> None:
    assert yaml.safe_load(as_yaml(document)) == document


@pytest.mark.parametrize("value", AWKWARD)
def test_every_awkward_text_survives_as_value_and_as_key(value: str) -> None:
    document = {"a": value, value: [value], "z": {value: value}}
    assert yaml.safe_load(as_yaml(document)) == document


@pytest.mark.parametrize("bad", [{"a": 1.5}, {"a": [float("nan")]}, {"a": {"b": 1e16}}, {"a": "\ud800"}])
def test_what_yaml_would_read_otherwise_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        as_yaml(bad)


def test_keys_that_are_no_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="keys"):
        as_yaml({"a": {1: 2}})


def test_static_addressing_is_exactly_what_was_asked() -> None:
    nic = NicAddressing(
        addresses=("192.0.2.10/24", "2001:db8::10/64"),
        gateway4="192.0.2.1",
        gateway6="2001:db8::1",
        nameservers=("192.0.2.1", "2001:db8::1"),
        search=("example.test",),
        mtu=1400,
    )
    assert metadata("ceso-web01-1", "web01.example.test", [GuestNic(MAC.upper(), nic)]) == {
        "instance-id": "ceso-web01-1",
        "local-hostname": "web01.example.test",
        "redact": ["userdata", "vendordata"],
        "network": {
            "version": 2,
            "ethernets": {
                "nic0": {
                    "match": {"macaddress": MAC},
                    "dhcp4": False,
                    "dhcp6": False,
                    "accept-ra": False,
                    "addresses": ["192.0.2.10/24", "2001:db8::10/64"],
                    "routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1"}, {"to": "::/0", "via": "2001:db8::1"}],
                    "nameservers": {"addresses": ["192.0.2.1", "2001:db8::1"], "search": ["example.test"]},
                    "mtu": 1400,
                }
            },
        },
    }


def test_dhcp_identifies_itself_by_mac_and_leaves_router_advertisements_on() -> None:
    made = metadata("i", "web01", [(MAC, NicAddressing(dhcp4=True), None)])
    assert made["network"]["ethernets"]["nic0"] == {
        "match": {"macaddress": MAC},
        "dhcp4": True,
        "dhcp6": False,
        "dhcp-identifier": "mac",
    }


def test_a_name_is_set_only_when_given() -> None:
    made = metadata("i", "web01", [(MAC, NicAddressing(dhcp4=True), "ens192")])
    assert made["network"]["ethernets"]["nic0"]["set-name"] == "ens192"


def test_boot_does_not_wait_for_a_nic_without_addresses() -> None:
    made = metadata("i", "web01", [(MAC, NicAddressing(), None)])
    assert made["network"]["ethernets"]["nic0"]["optional"] is True


def test_without_nics_the_image_decides() -> None:
    assert "network" not in metadata("i", "web01", [])


@pytest.mark.parametrize(
    ("instance_id", "hostname", "nics", "mistake"),
    [
        ("../x", "web01", [], "instance-id"),
        ("", "web01", [], "instance-id"),
        ("i", "web_01", [], "underscore"),
        ("i", "web01", [("nonsense", NicAddressing(), None)], "MAC"),
        ("i", "web01", [(MAC, NicAddressing(), None), (MAC.upper(), NicAddressing(), None)], "same MAC"),
        ("i", "web01", [(MAC, NicAddressing(), "a" * 16)], "interface name"),
        ("i", "web01", [(MAC, NicAddressing(), "a/b")], "interface name"),
    ],
)
def test_metadata_that_would_break_the_guest_is_refused(
    instance_id: str, hostname: str, nics: list[Any], mistake: str
) -> None:
    with pytest.raises(ValueError, match=mistake):
        metadata(instance_id, hostname, nics)


def _read(document: str) -> dict[str, Any]:
    assert document.startswith("#cloud-config\n")
    loaded = yaml.safe_load(document)
    assert isinstance(loaded, dict)
    return loaded


def test_user_data_makes_one_user_who_logs_in_by_key_and_has_sudo() -> None:
    made = _read(user_data(hostname="web01", fqdn="web01.example.test", user="ann", ssh_keys=[KEY, KEY]))
    assert made == {
        "hostname": "web01",
        "fqdn": "web01.example.test",
        "manage_etc_hosts": True,
        "ssh_pwauth": False,
        "disable_root": True,
        "users": [
            {
                "name": "ann",
                "groups": ["adm", "sudo"],
                "shell": "/bin/bash",
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "lock_passwd": True,
                "ssh_authorized_keys": [KEY],
            }
        ],
        "growpart": {"mode": "auto", "devices": ["/"]},
        "resize_rootfs": True,
    }


def test_a_full_hostname_is_split_into_short_name_and_fqdn() -> None:
    made = _read(user_data(hostname="web01.example.test", user="ann", ssh_keys=[KEY]))
    assert (made["hostname"], made["fqdn"]) == ("web01", "web01.example.test")
    assert "fqdn" not in _read(user_data(hostname="web01", user="ann", ssh_keys=[KEY]))


def test_without_a_user_the_images_own_user_gets_the_keys() -> None:
    made = _read(user_data(hostname="web01", user=None, ssh_keys=[KEY], grow_root=False))
    assert "users" not in made
    assert made["ssh_authorized_keys"] == [KEY]
    assert made["growpart"] == {"mode": "off"}
    assert made["resize_rootfs"] is False


def test_without_user_and_keys_the_ways_to_log_in_stay_as_they_are() -> None:
    made = _read(user_data(hostname="web01", user=None, ssh_keys=[]))
    assert set(made) == {"hostname", "manage_etc_hosts", "growpart", "resize_rootfs"}


@given(st.lists(texts.filter(lambda text: text.strip() and "\0" not in text), min_size=1, max_size=4))
def test_commands_reach_the_guest_character_by_character(commands: list[str]) -> None:
    made = _read(
        user_data(
            hostname="web01", user="ann", ssh_keys=[KEY], timezone="Europe/Berlin", packages=["g++"],
            run_commands=[*commands, ["printf", *commands]],
        )
    )  # fmt: skip
    assert made["runcmd"] == [*commands, ["printf", *commands]]
    assert made["packages"] == ["g++"]
    assert made["package_update"] is True
    assert made["timezone"] == "Europe/Berlin"


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({"ssh_keys": []}, "at least one"),
        ({"ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}, "private key"),
        ({"user": "root"}, "root"),
        ({"hostname": "a_b"}, "underscore"),
        ({"fqdn": "a b"}, "letters"),
        ({"timezone": "../x"}, "IANA"),
        ({"packages": ["nginx-"]}, "package"),
        ({"run_commands": [" "]}, "empty"),
        ({"run_commands": [[]]}, "empty"),
        ({"run_commands": ["a\0b"]}, "NUL"),
        ({"extra": "hello"}, "says its kind"),
        ({"extra": "#!/bin/sh\n\ud800"}, "surrogate"),
    ],
)
def test_user_data_that_would_lock_out_or_break_is_refused(fields: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        user_data(**({"hostname": "web01", "user": "ann", "ssh_keys": [KEY]} | fields))


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        ("#cloud-config\nruncmd: [b]\n", "text/cloud-config"),
        ("#!/bin/sh\necho ünï 😀\n", "text/x-shellscript"),
        ("#cloud-boothook\n#!/bin/sh\n", "text/cloud-boothook"),
    ],
)
def test_extra_user_data_travels_beside_our_own_unchanged(extra: str, kind: str) -> None:
    alone = user_data(hostname="web01", user="ann", ssh_keys=[KEY])
    both = user_data(hostname="web01", user="ann", ssh_keys=[KEY], extra=extra)
    assert both == user_data(hostname="web01", user="ann", ssh_keys=[KEY], extra=extra)
    parts = list(email.message_from_string(both).walk())[1:]
    assert [part.get_content_type() for part in parts] == ["text/cloud-config", kind]
    decoded = [part.get_payload(decode=True) for part in parts]
    assert decoded == [alone.encode(), extra.encode()]
