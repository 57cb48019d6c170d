"""The shell's transcripts: given again to the byte from a stated world, or listed with the reason."""

from __future__ import annotations

import dataclasses
from calendar import timegm
from collections.abc import Callable
from pathlib import Path

import pytest
import test_reproduce_shell_programs
from lab_fixtures import HostShell

from ceso_mcp.lab import namespace, seed, sshd
from ceso_mcp.lab.blueprint import Blueprint
from ceso_mcp.lab.host_log import HostLog
from ceso_mcp.lab.inventory import Inventory
from ceso_mcp.lab.program_socket import AWAY
from ceso_mcp.lab.shell_programs import Ramdisk, df, vdf, vmware
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.world import Datastore, Vm, World

TRANSCRIPTS = Path(__file__).parent / "transcripts"
MIB, GIB = 1 << 20, 1 << 30


def text(name: str) -> str:
    return (TRANSCRIPTS / f"{name}.txt").read_text()


def world(release: str, **facts: object) -> World:
    made = seed.new_world(Blueprint(release))
    return dataclasses.replace(made, **facts)  # type: ignore[arg-type]


class StatedStorage(Storage):
    """Datastores whose use is stated: (type, name, size, used, available) in bytes."""

    def __init__(self, rows: list[tuple[str, str, int, int, int]]) -> None:
        self._rows = {name: (used, free) for _, name, _, used, free in rows}
        stores = [Datastore(name, name, size, kind) for kind, name, size, _, _ in rows]
        super().__init__(world("8.0", datastores=stores), Path("/nowhere"))

    def free_bytes(self, datastore: Datastore) -> int:
        return self._rows[datastore.name][1]


def free_space(words: list[str], rows: list[tuple[str, str, int, int, int]]) -> str:
    return df(StatedStorage(rows), words, "/").stdout


def df_bytes() -> str:
    rows = [
        ("VMFS-6", "66b0c33b-d2f3dff8-8f53-1e00f500013e", 96368328704, 0, 1389363200),
        ("VMFSOS", "OSDATA-66aa25b4-80eeca2a-d6dd-1e00f7000340", 8321499136, 0, 5360320512),
        ("vfat", "BOOTBANK1", 1073577984, 0, 805076992),
        ("vfat", "BOOTBANK2", 1073577984, 0, 1073545216),
    ]
    return free_space([], rows)


def df_human() -> str:
    def row(kind: str, name: str, size: float, used_mib: float) -> tuple[str, str, int, int, int]:
        size_bytes = round(size * GIB)
        return kind, name, size_bytes, 0, size_bytes - round(used_mib * MIB)

    rows = [
        row("NFS", "ssd", 349.84, 32.2),
        row("NFS", "hdd", 599.74, 32.2),
        row("VMFS-L", "OSDATA-6163df77-cdfdda28-2e5c-000c29acd0b5", 41.8, 2.9 * 1024),
        row("vfat", "BOOTBANK1", 4.0, 198.8),
        row("vfat", "BOOTBANK2", 4.0, 0.0625),
    ]
    return free_space(["-h"], rows)


def df_mebi() -> str:
    rows = [
        (kind, name, size * MIB, 0, free * MIB)
        for kind, name, size, free in [
            ("NFS41", "Farm2-nfs", 28032, 19288),
            ("VMFS-5", "datastore-Uranium", 1899008, 18951),
            ("vfat", "69f4af7a-8fef67ee-19a8-73d14778d37d", 249, 75),
            ("vfat", "58f72d54-99c8b477-1ff9-d4ae52e8199a", 4094, 4062),
            ("vfat", "42497372-e8f357aa-1697-4021215e5aa2", 249, 74),
            ("vfat", "58f72d4b-3d836623-207e-d4ae52e8199a", 285, 23),
        ]
    ]
    # The first and the fourth lose half a block on either side: used and free are each rounded down.
    rows = [
        (kind, name, size, 0, free - (MIB // 2 if name in ("Farm2-nfs", rows[3][1]) else 0))
        for kind, name, size, _, free in rows
    ]
    return free_space(["-m"], rows)


def ramdisks() -> str:
    return vdf(
        [
            Ramdisk("root", 32 * MIB, 7 * MIB // 2),
            Ramdisk("etc", 28 * MIB, 11 * MIB // 2),
            Ramdisk("opt", 32 * MIB, 4096),
            Ramdisk("var", 48 * MIB, 520 << 10),
            Ramdisk("tmp", 256 * MIB, (256 * MIB) - (364 << 10)),
        ]
    )


def logged(release: str, severity: str, rows: list[tuple[str, float, str]]) -> str:
    log = HostLog(Path("/nowhere"), release)
    found = []
    for day, seconds, said in rows:
        year, month, date = (int(part) for part in day.split("-"))
        found.append(log.line(timegm((year, month, date, 0, 0, 0)) + seconds, severity, said))
    return "".join(found)


def clock(hours: int, minutes: int, seconds: float) -> float:
    return hours * 3600 + minutes * 60 + seconds


def shell_log_8() -> str:
    def row(at: float, line: str) -> tuple[str, float, str]:
        return "2023-12-05", at, f"shell[1053659]: [root]: {line}"

    rows = [
        row(clock(17, 36, 17.835), "vim-cmd vmsvc/getallvms"),
        row(clock(17, 37, 35.560), "esxcli system version get"),
        row(clock(17, 37, 45.836), "esxcli system account list"),
        row(clock(17, 38, 21.798), "esxcli vm process list"),
        row(clock(17, 42, 32.948), "vim-cmd vmsvc/snapshot.create $vm_id"),
    ]
    return logged("8.0", "In(14)", rows)


def shell_log_6() -> str:
    place = "-d /vmfs/volumes/ESXI_LOCAL/iso/ESXi670-202210001.zip"
    head = "shell[2239481]: [root]: esxcli software"
    rows = [
        ("2023-02-21", clock(9, 39, 35), f"{head} sources profile list {place}"),
        (
            "2023-02-21",
            clock(10, 4, 53),
            f"{head} profile update -p ESXi-6.7.0-20221001001s-standard {place}",
        ),
    ]
    return logged("6.7", "In(14)", rows)


def auth_log() -> str:
    peer = "from 192.168.127.10 port 58470"
    rows = [
        ("2023-12-05", clock(17, 35, 43.281), f"sshd[1053654]: Connection {peer}"),
        (
            "2023-12-05",
            clock(17, 35, 43.320),
            f"sshd[1053654]: Accepted keyboard-interactive/pam for root {peer} ssh2",
        ),
        ("2023-12-05", clock(17, 59, 31.981), "sshd[1053654]: Session closed for 'root' on /dev/char/pty/t0"),
    ]
    return logged("8.0", "In(38)", rows)


def inventory_head(folder: Path) -> str:
    stated = world("7.0")
    path = "/vmfs/volumes/613b3787-f424611a-xxxx-a0369fa88738/CentOS_NAS/CentOS_NAS.vmx"
    stated.vms = {10: Vm(10, "/vmfs/volumes/x/first/first.vmx", []), 11: Vm(11, path, [])}
    listing = folder / "vmInventory.xml"
    Inventory(stated, Storage(stated, folder), listing, lambda: None).save()
    lines = listing.read_text().splitlines(keepends=True)
    entry = next(at for at, line in enumerate(lines) if 'id="0001"' in line)
    return lines[0] + "".join(lines[entry : entry + 5]).replace('id="0001"', 'id="0002"')


CALCULATED: dict[str, Callable[[], str]] = {
    "shell-df-1": df_human,
    "shell-df-2": df_bytes,
    "shell-df-3": df_mebi,
    "shell-vdf-1": ramdisks,
    "shell-vmware-v-1": lambda: vmware(world("7.0"), ["-v"]).stdout,
    "shell-vmware-lv-1": lambda: (
        vmware(world("7.0", version="7.0.2", build="17867351", update="2"), ["-lv"]).stdout
    ),
    "shell-motd-1": lambda: namespace.MOTD,
    "shell-log-shell-1": shell_log_8,
    "shell-log-shell-2": shell_log_6,
    "shell-log-auth-1": auth_log,
}
# Name to the line that is run on the usual world over SSH.
RUN = {
    "shell-sshd-config-1": "grep -viE '^#' /etc/ssh/sshd_config",
    "shell-hostd-restart-1": "/etc/init.d/hostd restart",
    "shell-ssh-restart-1": "/etc/init.d/SSH restart",
    "shell-usbarbitrator-1": "/etc/init.d/usbarbitrator status",
}
# Reproduced in tests of their own: here, and in test_reproduce_shell_programs.
ALONE = {"shell-vmInventory-1"}
PROGRAMS = set(test_reproduce_shell_programs.MADE)
ABSENT = "the program is not part of the lab"
DIFFERS = {
    "shell-boot-facts-1": "numbers of one host at one moment, and core dumps, which the lab does not make",
    "shell-chmod-denied-1": "no VIB owns files in the lab",
    "shell-esxcfg-nas-error-1": ABSENT,
    "shell-esxcfg-vmknic-2": "network stacks other than the default one, which the lab does not have",
    "shell-esxcfg-vswitch-1": "a distributed switch, which the lab does not have",
    "shell-exec-denied-1": "from a login shell, `-sh`, in a place of its own; see test_watched_calls",
    "shell-exec-denied-2": "from a login shell, `-sh`, in a place of its own; see test_watched_calls",
    "shell-log-auth-2": "lines of the SSH service's start, which the lab's log does not have",
    "shell-log-hostd-1": "hostd.log is not written",
    "shell-log-hostd-2": "hostd.log is not written",
    "shell-ls-sh-1": "the date of one host's build; the link itself is checked below",
    "shell-ls-vmdir-1": "an excerpt with RDM disks; listings of folders belong to the files' part",
    "shell-ls-vmdir-2": "an excerpt; listings of folders belong to the files' part",
    "shell-ls-volumes-1": "an excerpt; busybox here pads other widths and folders have other sizes",
    "shell-ls-volumes-2": "busybox here pads other widths and folders have other sizes",
    "shell-lspci-p-1": "interrupt lines and pass-through marks, which the lab does not model",
    "shell-lspci-p-2": "interrupt lines and pass-through marks, which the lab does not model",
    "shell-nc-z-1": "the host has no network; the sentence is busybox's own",
    "shell-reload-esxconf-lock-1": "nothing locks esx.conf; a fault rule can answer so",
    "shell-scp-rate-1": "a progress line of the client",
    "shell-secureboot-1": ABSENT,
    "shell-snmpd-restart-1": "chatter of an init script that the lab does not have",
    "shell-ssh-Q-1": "the host's SSH client is not part of the lab",
    "shell-ssh-ed25519-denied-1": "text of a newer client; the refusal is tested in test_ssh_access",
    "shell-ssh-ident-1": "of 6.7; the lab is 7.0 and later, whose version is not captured",
    "shell-ssh-kbdint-1": "text of the client plink; the method is tested in test_ssh",
    "shell-ssh-norole-1": "the lab has root only",
    "shell-sshd-T-1": "the host's sshd program is not part of the lab; of 6.7, other keys than on 8",
    "shell-time-1": "durations of one run; ash's `time` prints them and the disk's words are the disks' part",
    "shell-vdf-2": "blanks collapsed in the capture, of 5.0",
    "shell-vdu-1": ABSENT,
    "shell-vimcmd-hostd-error-1": "of 5.x with a hostd half dead; the lab's is either there or away",
    "shell-vmdumper-nmi-1": "the world number of one host; the same line is printed for a running VM",
    "shell-vmkfstools-P-vfat-1": "belongs to the disks' part",
    "shell-vmware-v-2": "the lab's 8.0 is another build; `uname -a` has its build date",
    "shell-vsish-memory-2": "page numbers and tiers, which the lab does not model; indentation adjusted",
    "shell-wget-error-1": "the host has no network",
}


def test_every_transcript_of_the_part_is_given_again_or_listed() -> None:
    rows = (TRANSCRIPTS / "INDEX-shell.tsv").read_text().splitlines()
    names = {row.split("\t")[0].removesuffix(".txt") for row in rows}
    tables = (set(CALCULATED), set(RUN), set(DIFFERS), ALONE, PROGRAMS)
    assert names == set().union(*tables)
    assert sum(map(len, tables)) == len(names)


@pytest.mark.parametrize("name", CALCULATED)
def test_a_stated_world_gives_the_transcript_to_the_byte(name: str) -> None:
    assert CALCULATED[name]() == text(name)


def test_the_inventory_file_is_like_the_capture(tmp_path: Path) -> None:
    assert inventory_head(tmp_path) == text("shell-vmInventory-1")


@pytest.mark.parametrize("name", RUN)
def test_a_line_over_ssh_gives_the_transcript_to_the_byte(host_shell: HostShell, name: str) -> None:
    assert host_shell.ok(RUN[name]) == text(name)


def test_the_shell_is_a_link_to_busybox(host_shell: HostShell) -> None:
    target = text("shell-ls-sh-1").rpartition(" -> ")[2]
    assert host_shell.ok("readlink $(which sh)") == target


def test_the_server_offers_what_its_configuration_file_says() -> None:
    words = dict(line.split(" ", 1) for line in text("shell-sshd-config-1").splitlines())
    assert tuple(words["kexalgorithms"].split(",")) == sshd.KEX
    assert tuple(words["ciphers"].split(",")) == sshd.CIPHERS
    assert tuple(words["macs"].split(",")) == sshd.MACS
    assert set(words["hostkeyalgorithms"].split(",")) == set(sshd.USER_KEYS)


def test_hostd_that_is_away_is_said_in_the_words_of_the_captures() -> None:
    captures = Path(__file__).parents[1] / "transcripts"
    assert AWAY["esxcli"] == (captures / "esxcli-error-hostd-down-1.txt").read_text()
    assert AWAY["vim-cmd"] == (captures / "vimcmd-login-failed-2.txt").read_text()
