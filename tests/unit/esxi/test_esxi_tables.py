"""Tables, trees and blocks: what stands in no column, level or form is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi import esxcli
from ceso_mcp.esxi.getallvms import parse_getallvms
from ceso_mcp.esxi.host import parse_release
from ceso_mcp.esxi.power import parse_power_state
from ceso_mcp.esxi.snapshots import parse_snapshots
from ceso_mcp.esxi.vm_inventory import parse_vm_inventory
from ceso_mcp.esxi.vmdk import Descriptor
from ceso_mcp.esxi.vmsd import parse_vmsd

LABELS = ("Vmid", "Name", "File", "Guest OS", "Version", "Annotation")
Row = tuple[str, str, str, str, str, str]


def getallvms(rows: list[Row], *, in_bytes: bool = False) -> str:
    """The table by the formula of fact sheet vim-cmd §2; widths in characters or in bytes of UTF-8."""

    def size(text: str) -> int:
        return len(text.encode()) if in_bytes else len(text)

    widths = [max(len(label), *(size(row[i]) for row in rows), 0) for i, label in enumerate(LABELS)]
    head = []
    for label, width in zip(LABELS, widths, strict=True):
        left = (width - len(label)) // 2
        head.append(" " * left + label + " " * (width - len(label) - left))
    lines = ["   ".join(head)]
    for row in rows:
        lines.append("   ".join(c + " " * (w - size(c)) for c, w in zip(row, widths, strict=True)))
    return "\n".join(lines) + "\n"


_WORD = st.text("ab .[](é中-", min_size=1, max_size=12).map(str.strip).filter(bool)
_NOTE = st.one_of(st.just(""), st.text("ab 12\n[é中", max_size=30).map(str.rstrip))


@given(
    st.dictionaries(
        st.integers(1, 2000),
        st.tuples(_WORD, st.from_regex(r"[a-z]{1,5}/[a-z ]{0,5}x", fullmatch=True), _NOTE),
        max_size=5,
    ),
    st.booleans(),
)
def test_every_vm_of_a_table_is_found(vms: dict[int, tuple[str, str, str]], in_bytes: bool) -> None:
    rows = [
        (str(vmid), name, f"[ds (1)] {file}.vmx", "otherGuest", "vmx-19", note)
        for vmid, (name, file, note) in sorted(vms.items(), key=lambda item: str(item[0]))
    ]
    found, invalid = parse_getallvms(getallvms(rows, in_bytes=in_bytes))
    assert [(str(r.vmid), r.name, r.raw_file, r.annotation) for r in found] == [
        (row[0], row[1], row[2], row[5]) for row in rows
    ]
    assert invalid == []


def test_a_line_in_an_annotation_that_looks_like_a_row_is_not_one() -> None:
    note = "see\n7   fake   [ds] f/f.vmx   otherGuest   vmx-19   x\nend"
    rows: list[Row] = [
        ("1", "alpha", "[ds] alpha/alpha.vmx", "otherGuest", "vmx-19", note),
        ("2", "beta", "[ds] beta/beta.vmx", "otherGuest", "vmx-19", ""),
    ]
    found, _ = parse_getallvms(getallvms(rows))
    assert [(r.vmid, r.annotation) for r in found] == [(1, note), (2, "")]


def test_rows_out_of_order_are_refused() -> None:
    rows: list[Row] = [(n, "a", "[ds] a/a.vmx", "g", "vmx-19", "") for n in ("2", "1")]
    with pytest.raises(Unreadable):
        parse_getallvms(getallvms(rows))


def test_a_vm_on_no_datastore_keeps_what_the_host_wrote() -> None:
    rows: list[Row] = [("1", "a", "[ds] ../a.vmx", "", "vmx-19", "")]
    (row,), _ = parse_getallvms(getallvms(rows))
    assert (row.file, row.raw_file, row.guest_os) == (None, "[ds] ../a.vmx", "")


def test_invalid_vms_are_counted_from_either_stream() -> None:
    table = getallvms([])
    assert parse_getallvms("Skipping invalid VM '6'\n" + table)[1] == [6]
    assert parse_getallvms(table, "Skipping invalid VM '6'\nSkipping invalid VM '7'\n")[1] == [6, 7]


@pytest.mark.parametrize(
    "text", ["", "Vmid\n", "1   a   [ds] a/a.vmx   g   vmx-19\n", "Failed to login: x\n"]
)
def test_output_without_the_header_is_no_inventory(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_getallvms(text)


def test_a_description_may_run_over_lines() -> None:
    text = (
        "Get Snapshot:\n|-ROOT\n--Snapshot Name        : a\n--Snapshot Id        : 1\n"
        "--Snapshot Desciption  : one\ntwo\n\n"
        "--Snapshot Created On  : 1/2/2024 3:4:5\n--Snapshot State       : powered on\n"
        "--|-CHILD\n----Snapshot Name        : b\n----Snapshot Id        : 2\n----Snapshot Desciption  :\n"
        "----Snapshot Created On  : 1/2/2024 3:4:6\n----Snapshot State       : powered on\n"
        "--|-CHILD\n----Snapshot Name        : c\n----Snapshot Id        : 3\n----Snapshot Desciption  :\n"
        "----Snapshot Created On  : 1/2/2024 3:4:7\n----Snapshot State       : powered on\n"
    )
    found = parse_snapshots(text)
    assert [(n.id, n.parent_id, n.depth) for n in found] == [(1, None, 0), (2, 1, 1), (3, 1, 1)]
    assert found[0].description == "one\ntwo\n"
    for wrong in (
        text[:60],
        text.replace("Id        : 3", "Id        : 2"),
        text.replace("1/2/2024", "13/2/2024"),
    ):
        with pytest.raises(Unreadable):
            parse_snapshots(wrong)


def test_a_table_with_names_beyond_ascii_is_read_by_characters_or_bytes() -> None:
    rule = "-----  ------\n"
    assert esxcli.table(f"Name   VLAN\n-----  ----\n中é     4095\n") == [{"Name": "中é", "VLAN": "4095"}]  # noqa: F541
    assert esxcli.table(
        f"Name   Number\n{rule}中é       4095\nabcde     1\n".replace("中é       4095", "中é  4095")
    ) == [
        {"Name": "中é", "Number": "4095"},
        {"Name": "abcde", "Number": "1"},
    ]


@pytest.mark.parametrize(
    "text", ["Name\n", "Name  X\n----  -\nlonger  1\n", "Name  Name\n----  ----\na     b\n"]
)
def test_a_table_out_of_its_columns_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        esxcli.table(text)


def test_no_output_is_an_empty_list() -> None:
    assert esxcli.table("\n") == [] == esxcli.vm_processes("") == esxcli.csv_rows("")


@pytest.mark.parametrize(
    "text", ["a\n", "a\n   b: 1\n   b: 2\n", "a\n  b: 1\n", "   b 1\n", "         b: 1\n"]
)
def test_a_block_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        esxcli.blocks(text)


def test_a_value_is_cut_at_its_first_colon_only() -> None:
    (one,) = esxcli.blocks("vm: 1\n   Display Name: a: b, c\n   Config File: /vmfs/volumes/x/a: b/a.vmx\n")
    assert (one.header, one.fields["Display Name"]) == ("vm: 1", "a: b, c")
    assert one.fields["Config File"] == "/vmfs/volumes/x/a: b/a.vmx"


def test_a_missing_column_or_label_is_refused() -> None:
    with pytest.raises(Unreadable):
        esxcli.portgroups("Name\n----\na\n")
    with pytest.raises(Unreadable):
        esxcli.vm_processes("a\n   World ID: 1\n")


@pytest.mark.parametrize(
    "text",
    [
        "<x/>",
        "<!DOCTYPE x><output/>",
        "<output xmlns='http://www.vmware.com/Products/ESX/5.0/esxcli'><root><y/></root></output>",
    ],
)
def test_xml_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        esxcli.xml_value(text)


def test_json_with_raw_control_characters_is_read() -> None:
    assert esxcli.json_value('{"Vendor": "a\tb", "Path": "\\/vmfs"}') == {"Vendor": "a\tb", "Path": "/vmfs"}
    with pytest.raises(Unreadable):
        esxcli.json_value("Unable to find requested formatter: json")


def test_csv_and_keyvalue_of_another_form_are_refused() -> None:
    for text in ("a,b,\n1,2\n", "a,b\n1,2\n", "a,a,\n1,2,\n"):
        with pytest.raises(Unreadable):
            esxcli.csv_rows(text)
    for text in ("x\n", "structure[1].Nic.Name.string=a\n", "V.A.string=1\nV.A.string=2\n"):
        with pytest.raises(Unreadable):
            esxcli.keyvalue_rows(text)
    assert esxcli.keyvalue_rows("VersionGet.Build.string=a=b\nVersionGet.L.string[] = \n") == [
        {"Build": "a=b", "L": ""}
    ]


def test_suspended_is_a_state_and_a_banner_is_none() -> None:
    assert parse_power_state("Retrieved runtime info\nSuspended\n").value == "suspended"
    for text in ("", "Powered on\n", "Retrieved runtime info\nPowered up\n"):
        with pytest.raises(Unreadable):
            parse_power_state(text)


def test_a_ga_release_is_update_zero() -> None:
    assert parse_release("VMware ESXi 8.0.0 build-20513097\nVMware ESXi 8.0 GA\n").update == 0
    for text in ("", "VMware ESX 4.1.0 build-260247\n", "VMware ESXi 8.0.0 build-1\nVMware ESXi 7.0 GA\n"):
        with pytest.raises(Unreadable):
            parse_release(text)


def test_the_inventory_file_gives_id_and_path() -> None:
    path = "<vmxCfgPath>/vmfs/volumes/a/x &amp; y.vmx</vmxCfgPath>"
    entry = "<ConfigEntry id='0002'><objID>{}</objID>" + path + "</ConfigEntry>"
    assert parse_vm_inventory(f"<ConfigRoot>{entry.format(11)}</ConfigRoot>") == {
        11: "/vmfs/volumes/a/x & y.vmx"
    }
    assert parse_vm_inventory("<ConfigRoot></ConfigRoot>") == {}
    twice = entry.format(1) * 2
    for text in (
        "",
        "<a/>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><ConfigRoot/>",
        f"<ConfigRoot>{twice}</ConfigRoot>",
        "<ConfigRoot><x/></ConfigRoot>",
    ):
        with pytest.raises(Unreadable):
            parse_vm_inventory(text)


def test_a_branched_snapshot_file_knows_its_current_chain() -> None:
    entries = "".join(
        f'snapshot{i}.uid = "{uid}"\nsnapshot{i}.filename = "s{uid}.vmsn"\n'
        + (f'snapshot{i}.parent = "{parent}"\n' if parent else "")
        for i, (uid, parent) in enumerate([(1, 0), (2, 1), (5, 1)])
    )
    text = f'snapshot.lastUID = "5"\nsnapshot.current = "5"\nsnapshot.numSnapshots = "3"\n{entries}'
    found = parse_vmsd(text)
    assert [s.uid for s in found.chain()] == [1, 5]
    assert parse_vmsd("") == parse_vmsd('.encoding = "UTF-8"\n')
    for wrong in (
        text.replace('numSnapshots = "3"', 'numSnapshots = "2"'),
        text.replace('current = "5"', 'current = "9"'),
        text.replace('snapshot0.uid = "1"', 'snapshot0.uid = "1"\nsnapshot0.parent = "2"'),
        text.replace('snapshot1.uid = "2"', 'snapshot1.uid = "1"'),
    ):
        with pytest.raises(Unreadable):
            parse_vmsd(wrong)


DESCRIPTOR = (
    "# Disk DescriptorFile\nversion=1\nCID=ab\nparentCID=ffffffff\n"
    'createType="vmfs"\nRW 8 VMFS "a-flat.vmdk"\n'
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Disk DescriptorFile", "KDMV\x01"),
        ("version=1\n", ""),
        ("CID=ab\n", "CID=xy\n"),
        ('RW 8 VMFS "a-flat.vmdk"\n', ""),
        ("RW 8 VMFS", "RW 8 SESPARSE MORE"),
        ('createType="vmfs"', 'createType="vmfs'),
        ("version=1\n", "version=1\nversion=2\n"),
        (' "a-flat.vmdk"', ""),
    ],
)
def test_a_damaged_descriptor_is_refused(old: str, new: str) -> None:
    assert Descriptor.parse(DESCRIPTOR).cid == "000000ab"
    with pytest.raises(Unreadable):
        Descriptor.parse(DESCRIPTOR.replace(old, new))


def test_a_parent_id_alone_makes_a_child() -> None:
    assert Descriptor.parse(DESCRIPTOR.replace("ffffffff", "12345678")).has_parent
