"""The formatters of esxcli: csv, keyvalue, xml and (with --debug) json (fact sheet esxcli-and-shell §1.5)."""

from __future__ import annotations

import csv
import json
import re
from typing import Any
from xml.etree import ElementTree

from ceso_mcp.errors import Unreadable

_KEYVALUE = re.compile(
    r"(?:structure\[([0-9]{1,6})\]\.)?([A-Za-z][A-Za-z0-9]*)\.([A-Za-z][A-Za-z0-9.]*)"
    r"\.(string|integer|boolean)(\[\])?(?:=| = )(.*)"
)
_NAMESPACE = "{http://www.vmware.com/Products/ESX/5.0/esxcli}"


def csv_rows(stdout: str) -> list[dict[str, str]]:
    """Rows by property name. Values are not trimmed; a list is its elements with a comma after each.

    Sources: esxcli-device-list-3, esxcli-firewall-allowedip-1. Raises Unreadable for a row of
    another length or without the comma at its end.
    """
    try:
        rows = list(csv.reader(stdout.splitlines(), strict=True))
    except csv.Error as error:
        raise Unreadable("esxcli csv", str(error)) from None
    rows = [row for row in rows if row]
    if not rows:
        return []
    for row in rows:
        if len(row) != len(rows[0]) or row[-1] != "":
            raise Unreadable("esxcli csv", "a row has another number of values", line=",".join(row))
    titles = rows[0][:-1]
    if len(set(titles)) != len(titles):
        raise Unreadable("esxcli csv", "its titles are not distinct", line=",".join(titles))
    return [dict(zip(titles, row[:-1], strict=True)) for row in rows[1:]]


def keyvalue_rows(stdout: str) -> list[dict[str, str]]:
    """Items by property name, nested names joined by dots (esxcli-nic-list-5).

    A `get` command gives one item. Raises Unreadable for a line of another form, an index out of
    order or a property that occurs twice.
    """
    items: list[dict[str, str]] = []
    for line in stdout.splitlines():
        if not line.strip():
            continue
        found = _KEYVALUE.fullmatch(line)
        if found is None:
            raise Unreadable("esxcli keyvalue", "a line is not of the form type.name.kind=value", line=line)
        index = int(found.group(1) or 0)
        if index == len(items):
            items.append({})
        if index != len(items) - 1:
            raise Unreadable("esxcli keyvalue", "its items are not in order", line=line)
        name = found.group(3)
        if name in items[-1]:
            raise Unreadable("esxcli keyvalue", f"{name} occurs twice", line=line)
        items[-1][name] = found.group(6)
    return items


def xml_value(stdout: str) -> Any:
    """The value inside `<root>`: dict for a structure, list, str, int or bool; None if it is empty.

    Sources: esxcli-vm-process-xml-1, esxcli-nic-get-xml-1. Raises Unreadable for other documents,
    and for one that declares a document type.
    """
    if "<!" in stdout:
        raise Unreadable("esxcli xml", "it holds a declaration")
    try:
        document = ElementTree.fromstring(stdout.strip())
    except ElementTree.ParseError as error:
        raise Unreadable("esxcli xml", f"it is not XML ({error})") from None
    roots = list(document)
    if document.tag != f"{_NAMESPACE}output" or [root.tag for root in roots] != [f"{_NAMESPACE}root"]:
        raise Unreadable("esxcli xml", "it is not an output of esxcli", line=document.tag)
    values = [_xml(child) for child in roots[0]]
    if len(values) > 1:
        raise Unreadable("esxcli xml", f"it holds {len(values)} values")
    return values[0] if values else None


def json_value(stdout: str) -> Any:
    """The value of the json formatter; control characters inside strings are accepted (a bug of it)."""
    try:
        return json.loads(stdout, strict=False)
    except (ValueError, RecursionError):
        raise Unreadable("esxcli json", "it is not JSON", line=stdout) from None


def _xml(element: ElementTree.Element) -> Any:
    tag = element.tag.removeprefix(_NAMESPACE)
    text = element.text or ""
    if tag == "list":
        return [_xml(child) for child in element]
    if tag == "structure":
        return _structure(element)
    if tag == "string":
        return text
    if tag == "integer" and re.fullmatch(r"-?[0-9]{1,20}", text.strip()):
        return int(text)
    if tag == "boolean" and text.strip() in ("true", "false"):
        return text.strip() == "true"
    raise Unreadable("esxcli xml", "a value of unknown form", line=f"{tag} {text}")


def _structure(element: ElementTree.Element) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in element:
        name = field.get("name")
        values = list(field)
        if field.tag != f"{_NAMESPACE}field" or not name or len(values) > 1 or name in fields:
            raise Unreadable("esxcli xml", "a structure holds something else than fields", line=field.tag)
        fields[name] = _xml(values[0]) if values else None
    return fields
