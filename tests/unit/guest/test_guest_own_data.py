"""User data of the caller's own: what is taken, what is refused, and that nothing of it is repeated."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceso_mcp.guest.cloudinit import cloud_config
from ceso_mcp.guest.own_data import giving_way, looks_secret, own_user_data


@pytest.mark.parametrize(
    "text",
    [
        "#cloud-config\nruncmd: [echo hi]\n",
        "#cloud-config\r\npackages:\r\n- nginx\r\n",
        "#!/bin/sh\necho hi\n",
        "#cloud-boothook\n#!/bin/sh\necho\n",
        "#include\nhttps://example.test/x\n",
        "#include-once\nhttps://example.test/x\n",
        "#cloud-config-archive\n- type: text/cloud-config\n  content: x\n",
        "#part-handler\ndef list_types(): return []\n",
        "## template: jinja\n#cloud-config\nhostname: {{ v1.region }}\n",
        "#cloud-config\na: &a {b: 1}\nc:\n  <<: *a\n  d: 2\n",
    ],
)
def test_every_kind_of_cloud_init_is_taken(text: str) -> None:
    assert own_user_data(text).text == text


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "first line"),
        ("hello\n", "first line"),
        ("\ufeff#cloud-config\na: 1\n", "first line"),
        (" #cloud-config\na: 1\n", "first line"),
        ("#cloud-configuration\na: 1\n", "first line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "first line"),
        ("root:x:0:0:root:/root:/bin/bash\n", "first line"),
        ("#cloud-config\n", "nothing follows"),
        ("#cloud-config\n# only this\n", "mapping"),
        ("#cloud-config\n- a\n", "mapping"),
        ("#cloud-config\n1: a\n", "words"),
        ("#cloud-config\na: [\n", "line 3: this is not YAML"),
        ("#cloud-config\nruncmd:\n\t- a\n", "line 3: this is not YAML"),
        ("#cloud-config\na: *b\n", "line 2: this is not YAML"),
        ("#cloud-config\na: !!python/object:os.system x\n", "line 2"),
        ("#cloud-config\nruncmd: [a]\npackages: [b]\nruncmd: [c]\n", "line 4: a key is given twice"),
        ("#cloud-config\na: {b: 1, b: 2}\n", "line 2: a key is given twice"),
        ("#cloud-config\na: 2001-99-99\n", "none that YAML|not YAML"),
        ("#cloud-config\n? {a: b}\n: c\n", "not YAML|none that YAML"),
        ("#cloud-config\na: " + "[" * 5000 + "\n", "not YAML|be read"),
        ("## template: jinja\nhello\n", "second line"),
        ("Content-Type: multipart/mixed\n\nx", "MIME"),
        ("#!/bin/sh\necho \0\n", "NUL"),
        ("#!/bin/sh\necho \ud800\n", "surrogate"),
    ],
)
def test_what_cloud_init_would_not_take_is_refused_in_words(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        own_user_data(text)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=80))
def test_any_yaml_is_either_read_or_refused_without_its_content(text: str) -> None:
    said = ""
    try:
        own_user_data(f"#cloud-config\nhunter2canary: {text}\n")
    except ValueError as error:
        said = str(error)
    assert "hunter2" not in said


def test_its_text_is_in_no_representation() -> None:
    own = own_user_data("#cloud-config\nhunter2: x\n", "shown")
    assert "hunter2" not in repr(own)


SECRET = [
    "#cloud-config\npassword: hunter2\n",
    "#cloud-config\nchpasswd: {list: ['ann:hunter2']}\n",
    "#cloud-config\nchpasswd:\n  users:\n  - {name: ann, password: hunter2, type: text}\n",
    "#cloud-config\nusers:\n- name: ann\n  passwd: $6$rounds=4096$abc$defghijklmnop\n",
    "#cloud-config\nusers: [{name: ann, hashed_passwd: 'x y'}]\n",
    '#cloud-config\n{"users": [{"name": "ann", "plain_text_passwd": "hunter2"}]}\n',
    "#cloud-config\nssh_keys:\n  ed25519_private: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    x\n",
    "#cloud-config\nwrite_files:\n- content: |\n    DB_PASSWORD=hunter2\n  path: /etc/x\n",
    "#cloud-config\nruncmd: ['curl -H \"Authorization: Bearer abcdefghijklmnopqrstuvwx\" https://x.test']\n",
    "#cloud-config\nubuntu_advantage: {token: C1234567890abcdef}\n",
    "#!/bin/sh\nexport API_KEY='abcd'\n",
    "#!/bin/sh\ngit clone https://ann:hunter2@example.test/x\n",
    "#!/bin/sh\necho 'ann:$6$abcdefgh$abcdefghijklmnopqrstuvwxyz' | chpasswd -e\n",
    "#!/bin/sh\nTOKEN=ghp_abcdefghijklmnopqrstuvwxyz0123\n",
]
PLAIN = [
    "#cloud-config\nssh_pwauth: false\nchpasswd: {expire: false}\n",
    "#cloud-config\nusers:\n- name: ann\n  lock_passwd: true\n  ssh_authorized_keys: [ssh-ed25519 AAAA]\n",
    "#cloud-config\nchpasswd:\n  expire: False\nruncmd: [echo hi]\n",
    "#cloud-config\npackages: [passwd, libsecret-1-0, tokenizer]\n",
    "#!/bin/sh\npasswd -l root\nmkdir /etc/secrets\necho done\n",
    "#cloud-config\nwrite_files:\n- content: 'PermitEmptyPasswords no'\n  path: /etc/ssh/x.conf\n",
    "#cloud-config\nuser: {name: ann, lock_passwd: true}\n",
    "#cloud-config\napt: {sources: {x: {source: 'deb https://example.test/apt stable main'}}}\n",
]  # fmt: skip


@pytest.mark.parametrize("text", SECRET)
def test_what_looks_like_a_secret_is_seen(text: str) -> None:
    assert looks_secret(text, own_user_data(text).mapping)


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_none_is_not_taken_for_one(text: str) -> None:
    assert not looks_secret(text, own_user_data(text).mapping)


def test_yaml_that_refers_to_itself_ends() -> None:
    own = own_user_data("#cloud-config\na: &a\n  b: *a\n")
    assert not looks_secret(own.text, own.mapping)


def test_what_gives_way_is_named() -> None:
    own = {"hostname": "theirs", "runcmd": ["a"], "timezone": "UTC", "users": [], "growpart": {"mode": "off"}}
    ours = cloud_config(hostname="ours", run_commands=["b"], timezone="UTC")
    assert giving_way(own, ours) == ["hostname", "growpart"]
    assert giving_way({**own, "merge_how": "dict()"}, ours) == []
