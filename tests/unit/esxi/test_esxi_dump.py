"""Objects of vim-cmd are read in every comma style, whatever their strings hold."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ceso_mcp.errors import HostFault, Unreadable
from ceso_mcp.esxi.dump import DumpObject, Ref, Value, parse_dump, parse_dumps, parse_object
from ceso_mcp.esxi.faults import find_fault
from ceso_mcp.esxi.registervm import parse_registervm

_NAME = st.from_regex(r"[a-z][A-Za-z0-9]{0,8}", fullmatch=True)
_SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.text("ab \"',=(){}[]<>\n", max_size=24),
    st.builds(Ref, st.from_regex(r"vim\.[A-Z][a-z]{1,5}:[a-z /'-]{0,8}[a-z]", fullmatch=True)),
)


def _objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(DumpObject, st.just("vim.T"), st.dictionaries(_NAME, children, max_size=4))


values = st.recursive(
    _SCALAR,
    lambda inner: st.one_of(_objects(inner), st.lists(st.one_of(_objects(inner), st.booleans()), max_size=3)),
    max_leaves=12,
)
STYLES = {"5.x": (", ", ", "), "6.5": (", ", ""), "stripped": (",", ""), "bare": ("", "")}


def shown(value: Value, comma: str, last: str, level: int) -> str:
    """`value` as the fact sheet says that a host prints it."""
    pad = "   " * (level + 1)
    if isinstance(value, DumpObject):
        lines = [f"{pad}{k} = {shown(v, comma, last, level + 1)}" for k, v in value.fields.items()]
        return _joined(f"({value.type}) {{", lines, comma, last, "   " * level + "}")
    if isinstance(value, list):
        if not value:
            return "(vim.T) []"
        lines = [pad + shown(v, comma, last, level + 1) for v in value]
        return _joined("(vim.T) [", lines, comma, "", "   " * level + "]")
    if value is None:
        return "<unset>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Ref):
        return f"'{value.text}'"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _joined(head: str, lines: list[str], comma: str, last: str, tail: str) -> str:
    ended = [line + (comma if at + 1 < len(lines) else last) for at, line in enumerate(lines)]
    return "\n".join([head, *ended, tail])


def _imitates(value: Value) -> bool:
    """Whether a string in it holds a quote that ends a line, which only what follows can judge."""
    if isinstance(value, DumpObject):
        return any(_imitates(v) for v in value.fields.values())
    if isinstance(value, list):
        return any(_imitates(v) for v in value)
    return isinstance(value, str) and re.search(r'"[ ,]*\n', value + " ") is not None


@given(
    _objects(values), st.sampled_from(sorted(STYLES)), st.sampled_from(["", "Devices:\n\n", "Networks:\n \n"])
)
def test_an_object_is_read_in_every_style(value: DumpObject, style: str, title: str) -> None:
    assume(not _imitates(value))
    comma, last = STYLES[style]
    assert parse_dump(title + shown(value, comma, last, 0) + "\n") == value


@pytest.mark.parametrize(
    "note", ['say "hi"', 'a "b",', 'line one\nline "two"\n\nthree', '"', '",', 'x = "1"', "}", "a\n}\nb"]
)
def test_quotes_and_line_breaks_come_through(note: str) -> None:
    text = f'(vim.T) {{\n   annotation = "{note}", \n   name = "web"\n}}\n'
    assert parse_object(text, "vim.T") == DumpObject("vim.T", {"annotation": note, "name": "web"})


def test_a_note_that_imitates_a_property_cannot_replace_one() -> None:
    note = 'x",\n   name = "evil'
    text = f'(vim.T) {{\n   annotation = "{note}", \n   name = "web"\n}}\n'
    with pytest.raises(Unreadable, match="name occurs twice"):
        parse_dump(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Devices:\n",
        "(vim.T) {\n   a = 1\n",
        '(vim.T) {\n   a = "x\n',
        "(vim.T) {\n   ...\n}\n",
        "(vim.T) {\n   a = what\n}\n",
        "(vim.T) {\n   a = 'x\n}\n",
        "error: nothing\n(vim.T) {\n}\n",
        "(vim.T) {\n}\nmore\n",
        "(vim.T) {\n   a = 1\n   }\n",
        "(vim.T) [\n" * 200,
    ],
)
def test_what_is_cut_off_or_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_dump(text)


def test_several_objects_in_a_row_are_all_read() -> None:
    found = parse_dumps('Networks:\n \n(vim.N) {\n   name = "a", \n}\n(vim.N) {\n   name = "b", \n}\n')
    assert [item.text("name") for item in found if isinstance(item, DumpObject)] == ["a", "b"]


def test_a_value_of_another_type_is_refused_when_asked_for() -> None:
    item = parse_object('(vim.T) {\n   a = "1", \n   b = 2, \n   c = true\n}\n', "vim.T")
    assert (item.text("a"), item.number("b"), item.flag("c"), item.objects("none")) == ("1", 2, True, [])
    for read in (
        lambda: item.number("a"),
        lambda: item.text("b"),
        lambda: item.flag("b"),
        lambda: item.objects("a"),
    ):
        with pytest.raises(Unreadable):
            read()
    with pytest.raises(Unreadable):
        item.number("c")


def test_a_fault_says_the_messages_that_came_with_it() -> None:
    text = (
        "Power on failed: (vim.fault.GenericVmConfigFault) {\n"
        "   faultCause = (vmodl.MethodFault) null, \n"
        "   faultMessage = (vmodl.LocalizableMessage) [\n"
        "      (vmodl.LocalizableMessage) {\n"
        '         key = "msg.x", \n'
        '         message = "first line\nsecond line"\n'
        "      }\n"
        "   ], \n"
        '   reason = "first line"\n'
        '   msg = "no"\n'
        "}\n"
    )
    fault = find_fault(text)
    assert fault is not None
    assert (fault.name, fault.message) == ("GenericVmConfigFault", "no")
    assert fault.reasons == ("first line\nsecond line",)


def test_ordinary_output_holds_no_fault() -> None:
    assert find_fault("Powering on VM:\n") is None
    assert (
        find_fault('(vim.T) {\n   faultCause = (vmodl.MethodFault) null, \n   note = "(vim.fault.X) {"\n}\n')
        is None
    )


def test_only_digits_are_a_new_id() -> None:
    assert parse_registervm("222\n") == 222
    for text in ("", "22 2", "-1", "２２"):
        with pytest.raises(HostFault) as caught:
            parse_registervm(text)
        assert caught.value.code == "register_failed"


def test_a_path_that_is_taken_names_its_holder() -> None:
    fields = '   faultCause = (vmodl.MethodFault) null, \n   name = "51"\n   msg = "exists"\n'
    text = f"(vim.fault.AlreadyExists) {{\n{fields}}}\n"
    with pytest.raises(HostFault, match="exists") as caught:
        parse_registervm(text)
    assert "id 51" in caught.value.hint
