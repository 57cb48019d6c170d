"""A datastore path means one place and cannot lead out of its datastore."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.paths import DatastorePath

_PLAIN = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/[]")
names = st.text(_PLAIN, min_size=1, max_size=20).filter(lambda t: t not in (".", "..") and t.strip())
paths = st.builds(DatastorePath, names, st.lists(names, max_size=4).map("/".join))


@given(paths)
def test_both_spellings_read_back_as_the_same_path(path: DatastorePath) -> None:
    assert DatastorePath.parse(str(path)) == path
    assert DatastorePath.from_posix(path.posix()) == path


@given(paths, names)
def test_a_file_in_a_folder_has_that_folder_as_parent(folder: DatastorePath, name: str) -> None:
    child = folder.joined(name)
    assert (child.parent, child.name) == (folder, name)
    assert child.sibling("x.vmdk") == folder.joined("x.vmdk")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x.vmx",
        "[ds]x.vmx",
        "[ds x.vmx",
        "[] x.vmx",
        "[ds] ../x.vmx",
        "[ds] a/../../x.vmx",
        "[ds] ./x.vmx",
        "[ds] /x.vmx",
        "[ds] a\nb.vmx",
        "[ds] a\x00b.vmx",
        "[ds] a\x9bb.vmx",
        "[..] x.vmx",
        "[a/b] x.vmx",
        "[a]b] x.vmx",
        "[ds] \ud800.vmx",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        DatastorePath.parse(text)


@pytest.mark.parametrize(
    "text", ["", "/etc/passwd", "/vmfs/volumes/", "/vmfs/volumes/a/../b", "vmfs/volumes/a"]
)
def test_an_absolute_path_must_lie_below_the_volumes(text: str) -> None:
    with pytest.raises(Unreadable):
        DatastorePath.from_posix(text)


def test_a_vcls_path_without_a_datastore_gives_the_volume_id() -> None:
    path = DatastorePath.parse("[] /vmfs/volumes/vsan:523d/vCLS-1/vCLS-1.vmx")
    assert path == DatastorePath("vsan:523d", "vCLS-1/vCLS-1.vmx")


def test_a_file_name_is_relative_to_its_folder_or_absolute() -> None:
    folder = DatastorePath("ds (1)", "vm")
    assert folder.resolve("sub/x.vmdk").posix() == "/vmfs/volumes/ds (1)/vm/sub/x.vmdk"
    assert folder.resolve("/vmfs/volumes/abc/x.vmdk") == DatastorePath("abc", "x.vmdk")
    with pytest.raises(Unreadable):
        folder.resolve("")
    with pytest.raises(Unreadable):
        folder.resolve("../other/x.vmdk")


def test_the_root_of_a_datastore_is_its_own_parent() -> None:
    root = DatastorePath.parse("[ds]")
    assert (root.parent, root.name, root.posix(), str(root)) == (root, "ds", "/vmfs/volumes/ds", "[ds]")
