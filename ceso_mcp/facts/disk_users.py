"""Who uses which disk of the host: registered VMs, and every .vmx that lies in a folder of a datastore."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ceso_mcp.errors import CesoError, HostFault, Unreadable
from ceso_mcp.esxi import esxcli
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmdk import Descriptor
from ceso_mcp.esxi.vmsd import parse_vmsd
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Fact, Reading, Reply
from ceso_mcp.shell import Glob, sh

MAX_ROUNDS = 40
"""More than the links that a chain can have (fact sheet vmkfstools §6: 32)."""


@dataclass(frozen=True, slots=True)
class DiskUser:
    """One .vmx and every link of a disk that it, its snapshots and the chains below them need.

    `problem` says why that may not be all.
    """

    vmx: DatastorePath
    links: frozenset[DatastorePath]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """All users, the descriptor of each link that is there, and the link below it if it has one."""

    users: tuple[DiskUser, ...]
    descriptors: Mapping[DatastorePath, Descriptor]
    parents: Mapping[DatastorePath, DatastorePath]

    def of(self, vmx: DatastorePath) -> DiskUser:
        """The user whose .vmx lies at `vmx`; one that needs nothing if there is none."""
        return next((user for user in self.users if user.vmx == vmx), DiskUser(vmx, frozenset()))

    def children_first(self, links: Iterable[DatastorePath]) -> list[DatastorePath]:
        """Those of `links` that are there, each before the one below it."""

        def depth(link: DatastorePath) -> int:
            below = self.parents.get(link)
            return 0 if below is None else 1 + depth(below)

        there = [link for link in links if link in self.descriptors]
        return sorted(there, key=lambda link: (-depth(link), str(link)))


@dataclass(frozen=True, slots=True)
class DiskUsers(Fact[Usage]):
    """Every user of disks: the .vmx files `registered`, and all others one folder deep on a datastore.

    Names in a .vmx and a .vmsd are read as that folder means them, volumes by their names. Disks that are
    not present count too: they can be made present again.
    """

    registered: tuple[DatastorePath, ...]

    def reading(self) -> Reading[Usage]:
        volumes, listed = yield [
            sh("esxcli", "storage", "filesystem", "list"),
            sh("ls", "-d", Glob("/vmfs/volumes/", "*/*/*.vmx")),
        ]
        found = esxcli.filesystems(volumes.require("listing the datastores"))
        names = {volume.uuid: volume.name for volume in found if volume.name}
        paths = dict.fromkeys((*self.registered, *_listed(listed, set(names.values()))))
        replies = yield [sh("cat", file) for path in paths for file in (path, _vmsd(path))]
        pairs = zip(paths, replies[::2], replies[1::2], strict=True)
        named = {path: _named(path, vmx, vmsd, names) for path, vmx, vmsd in pairs}
        descriptors: dict[DatastorePath, Descriptor] = {}
        parents: dict[DatastorePath, DatastorePath] = {}
        problems: dict[DatastorePath, str] = {}
        todo = {link for links, _ in named.values() for link in links}
        seen: set[DatastorePath] = set()
        for _ in range(MAX_ROUNDS):
            asked = sorted(todo)
            if not asked:
                break
            answers = yield [sh("cat", link) for link in asked]
            for link, reply in zip(asked, answers, strict=True):
                _note(link, reply, descriptors, problems)
            seen |= todo
            for link in asked:
                hint = descriptors[link].parent_file_name_hint if link in descriptors else None
                if hint:
                    parents[link] = _by_name(link.sibling(hint), names)
            todo = {parents[link] for link in asked if link in parents} - seen
        else:
            raise Unreadable("a snapshot chain", f"it has more than {MAX_ROUNDS} links")
        users = [_user(path, *one, parents, problems) for path, one in named.items()]
        return Usage(tuple(users), descriptors, parents)


def _listed(reply: Reply, names: set[str]) -> list[DatastorePath]:
    if not reply.ok and "No such file or directory" not in reply.output:
        raise HostFault(
            f"looking for .vmx files failed: {reply.output.strip()[-200:]}", code="command_failed"
        )
    paths = [DatastorePath.from_posix(line) for line in reply.stdout.splitlines()]
    return [path for path in paths if path.datastore in names]  # each is listed under its UUID too


def _vmsd(vmx: DatastorePath) -> DatastorePath:
    return vmx.sibling(f"{vmx.name.removesuffix('.vmx')}.vmsd")


def _named(
    path: DatastorePath, vmx: Reply, vmsd: Reply, names: Mapping[str, str]
) -> tuple[set[DatastorePath], str]:
    """The links that a .vmx and its .vmsd name, and what cannot be read of them."""
    if not vmx.ok:
        return set(), vmx.output.strip()[-200:] or "unreadable"
    try:
        files = [disk.file_name for disk in Vmx.parse(vmx.stdout).all_disks()]
        if vmsd.ok:
            files += [disk.file_name for one in parse_vmsd(vmsd.stdout).snapshots for disk in one.disks]
        elif "No such file or directory" not in vmsd.output:
            return set(), vmsd.output.strip()[-200:] or "its .vmsd is unreadable"
        return {_by_name(path.parent.resolve(file), names) for file in files}, ""
    except CesoError as error:
        return set(), error.message


def _by_name(path: DatastorePath, names: Mapping[str, str]) -> DatastorePath:
    return DatastorePath(names.get(path.datastore, path.datastore), path.path)


def _note(
    link: DatastorePath,
    reply: Reply,
    descriptors: dict[DatastorePath, Descriptor],
    problems: dict[DatastorePath, str],
) -> None:
    """Keep what a link's descriptor says; one that is not there needs nothing."""
    try:
        if reply.ok:
            descriptors[link] = Descriptor.parse(reply.stdout)
        elif "No such file or directory" not in reply.output:
            problems[link] = f"{link} cannot be read: {reply.output.strip()[-200:]}"
    except CesoError as error:
        problems[link] = f"{link}: {error.message}"


def _user(
    path: DatastorePath,
    named: Iterable[DatastorePath],
    problem: str,
    parents: Mapping[DatastorePath, DatastorePath],
    problems: Mapping[DatastorePath, str],
) -> DiskUser:
    links: set[DatastorePath] = set()
    todo = list(named)
    while todo:
        link = todo.pop()
        if link in links:
            continue
        links.add(link)
        problem = problem or problems.get(link, "")
        if link in parents:
            todo.append(parents[link])
    return DiskUser(path, frozenset(links), problem)
