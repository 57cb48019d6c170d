"""Makes ceso_mcp/lab/guest_system.img.gz: a file system as a golden Ubuntu image has it, in the smallest.

    python3 scripts/make_guest_system.py

Needs e2fsprogs. Each run makes the same files with other times.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import tempfile
from pathlib import Path

TARGET = Path(__file__).parents[1] / "ceso_mcp" / "lab" / "guest_system.img.gz"
SIZE_KIB = 4096
MADE_AT = 1735689600
UUID = "b3f0d7c2-5a41-4b0e-9f6e-1ab0000c3500"
OS_RELEASE = """PRETTY_NAME="Ubuntu 24.04.1 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.1 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
"""
PASSWD = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GRUB_CFG = f"linux /vmlinuz root=UUID={UUID} ro\ninitrd /initrd.img\n"
VERSION_PY = '__VERSION__ = "24.4"\n_PACKAGED_VERSION = "24.4.1-0ubuntu0~24.04.1"\n'
# A text that begins with `-> ` is a link, None a folder.
FILES: dict[str, str | None] = {
    "etc/os-release": "-> ../usr/lib/os-release",
    "usr/lib/os-release": OS_RELEASE,
    "etc/machine-id": "uninitialized\n",
    "etc/hostname": "localhost\n",
    "etc/fstab": f"UUID={UUID} / ext4 errors=remount-ro 0 1\n",
    "etc/passwd": PASSWD,
    "etc/cloud/cloud.cfg": "disable_root: true\nsystem_info:\n  distro: ubuntu\n",
    "etc/cloud/cloud.cfg.d/90_dpkg.cfg": "datasource_list: [ NoCloud, ConfigDrive, VMware, None ]\n",
    "etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT=""\nGRUB_CMDLINE_LINUX=""\n',
    "etc/default/grub.d": None,
    "etc/netplan": None,
    "etc/ssh/sshd_config": "UsePAM yes\n",
    "etc/ssh/sshd_config.d": None,
    "boot/grub/grub.cfg": GRUB_CFG,
    "usr/bin/cloud-init": "#!/usr/bin/python3\n",
    "usr/bin/vmtoolsd": "-> ../lib/open-vm-tools/vmtoolsd",
    "usr/lib/open-vm-tools/vmtoolsd": "#!/bin/sh\n",
    "usr/lib/python3/dist-packages/cloudinit/version.py": VERSION_PY,
    "var/lib/cloud": None,
    "var/lib/dbus/machine-id": "-> /etc/machine-id",
    "root/.ssh": None,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        root, image = Path(work, "root"), Path(work, "image")
        root.mkdir()
        for name, content in FILES.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(exist_ok=True)
            elif content.startswith("-> "):
                path.symlink_to(content[3:])
            else:
                path.write_text(content)
        for folder, folders, files in os.walk(root, topdown=False):
            for name in (*files, *folders):
                os.utime(Path(folder, name), (MADE_AT, MADE_AT), follow_symlinks=False)
        os.utime(root, (MADE_AT, MADE_AT))
        subprocess.run(
            ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "cloudimg-rootfs", "-U", UUID, "-N", "128", "-m", "0",
             "-O", "^has_journal,^resize_inode", "-E", f"root_owner=0:0,hash_seed={UUID}",
             "-d", str(root), str(image), f"{SIZE_KIB}k"],
            check=True,
            env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "E2FSPROGS_FAKE_TIME": str(MADE_AT)},
        )  # fmt: skip
        TARGET.write_bytes(gzip.compress(image.read_bytes(), 9, mtime=0))


if __name__ == "__main__":
    main()
