"""The golden image of real guests: a small Debian with cloud-init, built from packages, kept in a cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import BinaryIO

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import golden_guest
from ceso_mcp.lab.disks import descriptor

SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
SIZE_BYTES = 1 << 30
PARTITION_AT = 1 << 20
# The EFI system partition stands at the end, so that the root keeps its number and place.
EFI_BYTES = 16 << 20
EFI_AT = SIZE_BYTES - EFI_BYTES
BUILD_TIMEOUT_S = 900
GRUB = Path("/usr/lib/grub/i386-pc")
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux", "all_video", "search_label", "minicmd")
GRUB_EFI = Path("/usr/lib/grub/x86_64-efi")
GRUB_EFI_MODULES = ("part_msdos", "ext2", "normal", "linux", "all_video", "search", "search_label", "minicmd")
# Where UEFI looks on a disk that it was told nothing about.
EFI_PROGRAM = "EFI/BOOT/BOOTX64.EFI"
EFI_START = "search --no-floppy --label lab-root --set=root\nset prefix=($root)/boot/grub\nnormal\n"
# What building needs, program (or file) to Debian package.
BUILD_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "grub-mkimage": "grub-common",
    "mformat": "mtools",
    "tar": "tar",
}
# The tree becomes an image under the same (real or make-believe) root that unpacked it.
MAKE_IMAGE = f"""set -e
work=$(mktemp -d "${{TMPDIR:-/tmp}}/lab-golden.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/root"
tar -C "$work/root" --numeric-owner --xattrs --xattrs-include='*' -xf -
mke2fs -q -t ext4 -L lab-root -m 1 -O ^metadata_csum_seed,^orphan_file \\
    -E root_owner=0:0,lazy_itable_init=0 -d "$work/root" "$work/image" \\
    {(EFI_AT - PARTITION_AT) >> 10}k >&2
cat "$work/image"
"""


def default_cache() -> Path:
    """Where images are kept when nobody says otherwise."""
    import platformdirs

    return platformdirs.user_cache_path("ceso") / "lab-golden"


def recipe() -> str:
    """A digest of all that goes into an image; another recipe makes another image."""
    parts = [SUITE, MAKE_IMAGE, golden_guest.TIDY, *golden_guest.PACKAGES, *GRUB_MODULES]
    parts += [EFI_PROGRAM, EFI_START, *GRUB_EFI_MODULES]
    parts += [f"{path} {mode:o} {text}" for path, (mode, text) in sorted(golden_guest.FILES.items())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def place(cache_dir: Path) -> Path:
    """The descriptor of the image that this recipe makes, there or not."""
    return cache_dir / f"golden-{recipe()}" / "golden.vmdk"


def find(cache_dir: Path) -> Path:
    """The descriptor of the built image. Raises `LabFault` when there is none."""
    found = place(cache_dir)
    if not found.exists():
        raise LabFault(
            f"there is no golden image for real guests in {cache_dir}",
            hint="build it with: ceso lab golden build",
        )
    return found


def needed() -> None:
    """Raise `LabFault` naming the Debian packages that building an image needs and that are missing."""
    missing = {package for name, package in BUILD_PACKAGES.items() if shutil.which(name) is None}
    if not (GRUB / "boot.img").exists():
        missing.add("grub-pc-bin")
    if not (GRUB_EFI / "kernel.img").exists():
        missing.add("grub-efi-amd64-bin")
    if missing:
        raise LabFault(
            f"building the golden image needs the Debian packages {' '.join(sorted(missing))}",
            hint=f"sudo apt-get install {' '.join(sorted(missing))}",
        )


def build(cache_dir: Path, mirror: str = MIRROR) -> Path:
    """The descriptor of the golden image (`vmfs` descriptor and flat extent), built unless it is there.

    Takes one to two minutes and about 100 MiB from a Debian mirror. Raises `LabFault` when packages are
    missing (names them) or the building fails (says what the failing program said).
    """
    made = place(cache_dir)
    if made.exists():
        return made
    needed()
    cache_dir.mkdir(parents=True, exist_ok=True)
    with open(cache_dir / "build.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            return made
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix="building-") as work:
            folder = Path(work) / "image"
            folder.mkdir()
            _tree(Path(work), mirror)
            _disk(Path(work), folder)
            os.replace(folder, made.parent)
    return made


def _run(argv: list[str], what: str, stdin: Path | None = None, stdout: Path | None = None) -> None:
    with (
        open(stdin or os.devnull, "rb") as given,
        open(stdout or os.devnull, "wb") as taken,
    ):
        try:
            ran = subprocess.run(
                argv, stdin=given, stdout=taken, stderr=subprocess.PIPE, timeout=BUILD_TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            raise LabFault(f"{what} did not end within {BUILD_TIMEOUT_S} s") from None
    if ran.returncode != 0:
        raise LabFault(f"{what} failed: {ran.stderr.decode('utf-8', 'replace')[-800:].strip()}")


def _tree(work: Path, mirror: str) -> None:
    """The guest's files as `work/tree.tar`."""
    overlay = work / "files"
    argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(golden_guest.PACKAGES)}"]
    argv += ['--aptopt=APT::Install-Recommends "false"', "--dpkgopt=path-exclude=/usr/share/doc/*"]
    for name, (mode, text) in golden_guest.FILES.items():
        file = overlay / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        argv.append(f'--customize-hook=mkdir -p "$1/{os.path.dirname(name)}"')
        argv.append(f"--customize-hook=upload {file} /{name}")
        argv.append(f'--customize-hook=chmod {mode:o} "$1/{name}"')
    argv.append(f"--customize-hook={golden_guest.TIDY}")
    _run([*argv, SUITE, str(work / "tree.tar"), mirror], "mmdebstrap")


def _disk(work: Path, folder: Path) -> None:
    """The disk of `work/tree.tar` as `golden.vmdk` and `golden-flat.vmdk` in `folder`."""
    script = ["sh", "-c", MAKE_IMAGE]
    if os.geteuid() != 0:
        script = ["mmdebstrap", "--unshare-helper", *script]
    _run(script, "making the file system", work / "tree.tar", work / "root.img")
    core = work / "core.img"
    argv = ["grub-mkimage", "-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub", "-o", str(core)]
    _run([*argv, *GRUB_MODULES], "grub-mkimage")
    flat = folder / "golden-flat.vmdk"
    with open(flat, "wb") as disk, open(work / "root.img", "rb") as root:
        flat.chmod(0o600)
        disk.truncate(SIZE_BYTES)
        # GRUB's boot.img loads sector 1, where core.img starts, unless told otherwise.
        boot = bytearray((GRUB / "boot.img").read_bytes()[:440].ljust(512, b"\0"))
        boot[446:462] = _partition(0x80, 0x83, PARTITION_AT, EFI_AT - PARTITION_AT)
        boot[462:478] = _partition(0, 0xEF, EFI_AT, EFI_BYTES)
        boot[510:512] = b"\x55\xaa"
        disk.write(boot)
        code = core.read_bytes()
        if 512 + len(code) > PARTITION_AT:
            raise LabFault("GRUB's core does not fit before the first partition")
        disk.write(code)
        _put(disk.fileno(), root, PARTITION_AT)
        with open(_efi_partition(work), "rb") as efi:
            _put(disk.fileno(), efi, EFI_AT)
    made = descriptor.new_flat(flat.name, SIZE_BYTES // 512, thin=True)
    descriptor.store(str(folder / "golden.vmdk"), made)


def _partition(flag: int, kind: int, at: int, size: int) -> bytes:
    """One entry of the partition table; only its LBA fields count."""
    head = bytes([flag, 0xFE, 0xFF, 0xFF, kind, 0xFE, 0xFF, 0xFF])
    return head + struct.pack("<II", at // 512, size // 512)


def _put(disk: int, content: BinaryIO, at: int) -> None:
    """Write `content` at that offset, leaving holes where it is zero."""
    zeros = bytes(1 << 16)
    while chunk := content.read(len(zeros)):
        if chunk != zeros[: len(chunk)]:
            os.pwrite(disk, chunk, at)
        at += len(chunk)


def _efi_partition(work: Path) -> Path:
    """A FAT file system with GRUB for UEFI, which then reads the same `grub.cfg` as GRUB for BIOS."""
    start, program, made = work / "start.cfg", work / "grub.efi", work / "efi.img"
    start.write_text(EFI_START)
    argv = ["grub-mkimage", "-O", "x86_64-efi", "-p", "/boot/grub", "-c", str(start), "-o", str(program)]
    _run([*argv, *GRUB_EFI_MODULES], "grub-mkimage")
    made.touch()
    os.truncate(made, EFI_BYTES)
    _run(["mformat", "-i", str(made), "-T", str(EFI_BYTES // 512), "-h", "64", "-s", "32", "::"], "mformat")
    folder = Path(EFI_PROGRAM).parent
    for inner in (folder.parent, folder):
        _run(["mmd", "-i", str(made), f"::/{inner}"], "mmd")
    _run(["mcopy", "-i", str(made), str(program), f"::/{EFI_PROGRAM}"], "mcopy")
    return made
