"""What the golden image holds beside Debian's packages: the stand-in for VMware Tools, and settings.

Two virtio-serial ports lead out of the guest. On `lab.rpc` the guest asks: a request is one line, base64
of an RPCI command (`info-get guestinfo.x`, `info-set guestinfo.x value`); the answer is one line, `1 ` or
`0 ` and base64 of the text. On `lab.report` it tells what it is, and takes the words `poweroff` and `reboot`.
"""

from __future__ import annotations

RPC_PORT, REPORT_PORT = "lab.rpc", "lab.report"

# ds-identify calls this before udev runs, so the port is looked up in /sys; it admits one opener at a time.
RPCTOOL = r"""#!/bin/sh
[ "$1" = --cmd ] && shift
for name in /sys/class/virtio-ports/*/name; do
    read -r found <"$name" 2>/dev/null || continue
    [ "$found" = lab.rpc ] && port=/dev/$(basename "$(dirname "$name")")
done
[ -n "$port" ] || { echo "no channel to the host" >&2; exit 1; }
exec 9>/run/lab-rpc.lock
flock -w 30 9 || exit 1
exec 3<>"$port" || exit 1
printf '%s\n' "$(printf '%s' "$*" | base64 -w0)" >&3
answer=$(timeout 60 head -n 1 <&3)
case $answer in
"1 "*) printf '%s' "${answer#1 }" | base64 -d; echo ;;
*) printf '%s' "${answer#0 }" | base64 -d >&2; echo >&2; exit 1 ;;
esac
"""

REPORTER = r"""#!/bin/sh
port=/dev/virtio-ports/lab.report
exec 3<>"$port" || exit 1
while read -r word; do
    case $word in
    poweroff) systemctl --no-block poweroff ;;
    reboot) systemctl --no-block reboot ;;
    esac
done <&3 &
last=
while :; do
    now=$(
        echo "hostname $(hostname)"
        echo "machine-id $(cat /etc/machine-id)"
        echo "os $(. /etc/os-release; echo "$PRETTY_NAME")"
        for nic in /sys/class/net/*; do
            [ -e "$nic/device" ] && echo "nic ${nic##*/} $(cat "$nic/address")"
        done
        ip -o address show | while read -r _ nic family address _; do
            [ "$nic" = lo ] || echo "$family $nic $address"
        done
    )
    if [ "$now" != "$last" ]; then
        printf 'begin\n%s\nend\n' "$now" >&3
        last=$now
    fi
    sleep 2
done
"""

REPORTER_UNIT = """[Unit]
Description=Tells the lab's host what this guest is
After=dev-virtio\\x2dports-lab.report.device local-fs.target
Wants=dev-virtio\\x2dports-lab.report.device

[Service]
ExecStart=/usr/local/sbin/lab-reporter
Restart=on-failure
RestartSec=2

[Install]
WantedBy=multi-user.target
"""

CLOUD_CONFIG = """# bookworm's and trixie's locale module needs the package locales
locale: false
apt: {preserve_sources_list: true}
package_update: false
# An RSA key takes seconds without hardware help.
ssh_genkeytypes: [ed25519, ecdsa]
disable_root: true
growpart: {mode: 'off'}
"""

# Who waits for a guest to come up knocks often, and must not be locked out for it.
SSHD_CONFIG = "PerSourcePenalties no\n"

FSTAB = "LABEL=lab-root / ext4 errors=remount-ro 0 1\n"

GRUB_CFG = """set timeout=0
insmod all_video
linux /vmlinuz root=LABEL=lab-root ro console=ttyS0 net.ifnames=1
initrd /initrd.img
boot
"""

# Path in the guest to (mode, text).
FILES: dict[str, tuple[int, str]] = {
    "usr/bin/vmware-rpctool": (0o755, RPCTOOL),
    "usr/bin/vmtoolsd": (0o755, RPCTOOL),
    "usr/local/sbin/lab-reporter": (0o755, REPORTER),
    "etc/systemd/system/lab-reporter.service": (0o644, REPORTER_UNIT),
    "etc/cloud/cloud.cfg.d/90-lab.cfg": (0o644, CLOUD_CONFIG),
    "etc/ssh/sshd_config.d/lab.conf": (0o644, SSHD_CONFIG),
    "etc/fstab": (0o644, FSTAB),
    "etc/hostname": (0o644, "localhost\n"),
    "etc/machine-id": (0o444, "uninitialized\n"),
    "boot/grub/grub.cfg": (0o644, GRUB_CFG),
}

PACKAGES = (
    "linux-image-cloud-amd64",
    "systemd-sysv",
    "systemd-resolved",
    "udev",
    "dbus",
    "kmod",
    "cloud-init",
    "netplan.io",
    "openssh-server",
    "e2fsprogs",
    "iproute2",
    "sudo",
    "util-linux-extra",
)

# Run in the tree before it becomes an image. cloud-init's own clean removes /etc/machine-id in a chroot.
TIDY = r"""set -e
chroot "$1" systemctl enable systemd-networkd.service lab-reporter.service ssh.service
chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer man-db.timer e2scrub_reap.service \
    serial-getty@ttyS0.service getty@tty1.service systemd-networkd-wait-online.service
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/netplan/*.yaml "$1"/var/lib/dbus/machine-id
rm -f "$1"/var/lib/systemd/random-seed
rm -rf "$1"/var/cache/apt "$1"/var/lib/apt/lists "$1"/usr/share/doc "$1"/usr/share/man "$1"/var/log/*
rm -rf "$1"/usr/share/locale
mkdir -p "$1"/var/cache/apt/archives/partial "$1"/var/lib/apt/lists/partial
"""
