"""A .vmx comes out as it went in, and a value set is the value read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.errors import Refused, Unreadable
from ceso_mcp.esxi.vmx import Vmx

any_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
keys = st.from_regex(r"guestinfo\.[a-z][a-zA-Z0-9.:_-]{0,12}", fullmatch=True)
raw_lines = st.one_of(
    st.sampled_from(["", "  ", "# a comment", '#! "x', '\tmemSize\t=\t"4"  ', 'a.b = "|22|7C"', 'A.B = "2"']),
    st.builds('{} = "{}"'.format, keys, st.text("xyz |é中=#", max_size=12)),
)
documents = st.lists(st.tuples(raw_lines, st.sampled_from(["\n", "\r\n"])), max_size=12).map(
    lambda lines: "".join(line + end for line, end in lines)
)


@given(documents, st.booleans())
def test_what_is_not_touched_stays_byte_for_byte(text: str, cut: bool) -> None:
    text = text.removesuffix("\n") if cut and not text.endswith("\r\n") else text
    assert Vmx.parse(text).render() == text
    assert Vmx.parse_bytes(text.encode()).render_bytes() == text.encode()


@given(documents, st.dictionaries(keys, any_text, max_size=5))
def test_any_text_that_is_set_is_read_back(text: str, changes: dict[str, str]) -> None:
    changes = {
        key: value for key, value in changes.items() if [k.lower() for k in changes].count(key.lower()) == 1
    }
    changed = Vmx.parse(text).with_set(changes)
    again = Vmx.parse_bytes(changed.render_bytes())
    assert again == changed
    for key, value in changes.items():
        assert again.get(key.upper()) == value
        assert changed.get(key) == value


@given(documents, keys, any_text)
def test_setting_a_key_leaves_every_other_value(text: str, key: str, value: str) -> None:
    before = Vmx.parse(text)
    after = before.with_set({key: value})
    others = [(k, v) for k, v in before.items() if k.lower() != key.lower()]
    assert [(k, v) for k, v in after.items() if k.lower() != key.lower()] == others
    assert after.without([key.upper()]).items() == others


def test_quotes_bars_and_line_breaks_are_escaped() -> None:
    rendered = Vmx.parse("").with_set({"annotation": 'a "b" |\r\n\t\x7f\x85é'}).render()
    assert rendered == 'annotation = "a |22b|22 |7C|0D|0A|09|7F|C2|85é"\n'


def test_the_escapes_of_a_real_file_are_decoded() -> None:
    text = 'annotation = "Some |7Ctext|7C |22x|22 |45|73|63 |E4|B8|AD a | b |zz"\n'
    assert Vmx.parse(text).get("ANNOTATION") == 'Some |text| "x" Esc 中 a | b |zz'


def test_the_last_of_two_equal_keys_counts_and_setting_leaves_one() -> None:
    vmx = Vmx.parse('memSize = "1"\n# note\nMEMSIZE = "2"\n')
    assert vmx.number("memsize") == 2
    assert vmx.with_set({"memsize": "3"}).render() == 'memSize = "3"\n# note\n'


def test_a_new_key_follows_the_line_ends_of_the_file() -> None:
    assert (
        Vmx.parse('a = "1"\r\nb = "2"').with_set({"c": "3"}).render() == 'a = "1"\r\nb = "2"\r\nc = "3"\r\n'
    )


@pytest.mark.parametrize(("name", "codec"), [("windows-1252", "cp1252"), ("GBK", "gbk"), ("UTF-8", "utf-8")])
def test_a_file_is_read_and_written_in_the_encoding_it_names(name: str, codec: str) -> None:
    word = "中" if codec != "cp1252" else "é"
    data = f'.encoding = "{name}"\ndisplayName = "{word}"\n'.encode(codec)
    vmx = Vmx.parse_bytes(data)
    assert (vmx.get("displayName"), vmx.encoding, vmx.render_bytes()) == (word, codec, data)
    assert (
        Vmx.parse_bytes(vmx.with_set({"annotation": word * 2}).render_bytes()).get("annotation") == word * 2
    )


@pytest.mark.parametrize(
    "text",
    [
        "x",
        '= "1"',
        'a = "1',
        'a = "1" "2"',
        'a b = "1"',
        'a = "x"y"',
        'a = "1" # no',
        '\ufeffa = "1"',
        'a = "\r"',
    ],
)
def test_a_line_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        Vmx.parse(f'b = "1"\n{text}\n')


@pytest.mark.parametrize(
    "data",
    [
        b'a = "\xff"\n',
        b'.encoding = "klingon"\n',
        b'.encoding = "utf-16"\n',
        b'.encoding = "rot13"\n',
        b'a = "|FF"\n',
    ],
)
def test_bytes_that_do_not_fit_their_encoding_are_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        Vmx.parse_bytes(data)


def test_what_cannot_be_written_is_refused() -> None:
    vmx = Vmx.parse_bytes(b'.encoding = "windows-1252"\n')
    for changes in (
        {"a": "中"},
        {"a b": "1"},
        {"": "1"},
        {'a"': "1"},
        {".encoding": "UTF-8"},
        {"a": "\ud800"},
    ):
        with pytest.raises(Refused):
            vmx.with_set(changes)


def test_numbers_and_flags_are_read_or_refused() -> None:
    vmx = Vmx.parse('a = "12"\nb = ""\nc = "1x"\nd = "TRUE"\ne = "false"\nf = "maybe"\n')
    assert (vmx.number("a"), vmx.number("b"), vmx.number("none")) == (12, None, None)
    assert (vmx.flag("d"), vmx.flag("e"), vmx.flag("none")) == (True, False, False)
    for read in (lambda: vmx.number("c"), lambda: vmx.flag("f"), lambda: vmx.require("none")):
        with pytest.raises(Unreadable):
            read()


def test_disks_are_ordered_by_controller_and_unit_and_say_their_mode() -> None:
    vmx = Vmx.parse(
        'sata0:1.present = "TRUE"\nsata0:1.fileName = "s.vmdk"\n'
        'scsi0:10.present = "TRUE"\nscsi0:10.fileName = "/vmfs/volumes/x/j.vmdk"\n'
        'scsi0:10.mode = "independent-persistent"\n'
        'SCSI0:2.present = "true"\nscsi0:2.filename = "b.vmdk"\nscsi0:2.sharing = "multi-writer"\n'
        'scsi0:3.present = "FALSE"\nscsi0:3.fileName = "gone.vmdk"\n'
        'ide0:0.present = "TRUE"\nide0:0.deviceType = "atapi-cdrom"\nide0:0.fileName = "x.vmdk"\n'
    )
    assert [(d.node, d.bus, d.unit, d.mode, d.sharing) for d in vmx.disks()] == [
        ("scsi0:2", 0, 2, None, "multi-writer"),
        ("scsi0:10", 0, 10, "independent-persistent", None),
        ("sata0:1", 0, 1, None, None),
    ]
    assert [d.node for d in vmx.all_disks() if not d.present] == ["scsi0:3"]


def test_a_disk_without_a_file_makes_the_document_unreadable() -> None:
    with pytest.raises(Unreadable):
        Vmx.parse('scsi0:0.present = "TRUE"\nscsi0:0.deviceType = "scsi-hardDisk"\n')


def test_a_static_card_has_its_written_address_and_not_an_old_generated_one() -> None:
    vmx = Vmx.parse(
        'ethernet0.present = "TRUE"\nethernet0.addressType = "static"\n'
        'ethernet0.address = "00:50:56:00:00:01"\n'
        'ethernet0.generatedAddress = "00:0c:29:00:00:02"\nethernet1.networkName = "off"\n'
    )
    (nic,) = vmx.nics()
    assert (nic.mac, nic.generated, nic.index) == ("00:50:56:00:00:01", False, 0)
    assert [n.index for n in vmx.all_nics()] == [0, 1]


def test_an_encrypted_document_says_so() -> None:
    assert Vmx.parse('encryption.keySafe = "vmware:key/list"\n').encrypted
    assert not Vmx.parse('displayName = "encryption.data"\n').encrypted
