#!/bin/sh
# Makes a golden image of the Ubuntu (or Debian) guest that it runs in: the last thing before power-off.
#
#   ceso template script | ssh builder@TEMPLATE-VM 'sudo sh -s -- --remove-user builder --poweroff'
#
# --no-packages       install and upgrade nothing
# --pin-datasource    tell cloud-init to look at VMware's guestinfo only
# --remove-user NAME  remove that account, its home and its sudo rules
# --poweroff          switch the guest off when all is clean; do not start it again
#
# Each step is safe to repeat. With GOLDEN_ROOT the files below that folder are cleaned and no program
# of the guest is run. Ends with 1, and says why, if something is left that it does not remove itself.
set -eu

root=${GOLDEN_ROOT:-}
packages=yes
pin=no
user=
poweroff=no
while [ $# -gt 0 ]; do
    case $1 in
    --no-packages) packages=no ;;
    --pin-datasource) pin=yes ;;
    --poweroff) poweroff=yes ;;
    --remove-user)
        [ $# -gt 1 ] || {
            echo "--remove-user needs a name" >&2
            exit 2
        }
        user=$2
        shift
        ;;
    *)
        echo "unknown option: $1" >&2
        exit 2
        ;;
    esac
    shift
done

say() { echo "golden image: $*"; }
running() { [ -z "$root" ]; }

if running && [ "$(id -u)" != 0 ]; then
    echo "this needs root: sudo sh $0" >&2
    exit 2
fi

if running && [ "$packages" = yes ]; then
    say "packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install -y open-vm-tools cloud-init cloud-guest-utils
    apt-get -y full-upgrade
    apt-get -y autoremove --purge
    if [ -e /run/reboot-required ]; then
        echo "a new kernel waits: reboot once, then run this again" >&2
        exit 1
    fi
fi

say "what installers have left"
for name in subiquity-disable-cloudinit-networking 00-subiquity-disable-cloudinit-networking \
    90-installer-network 99-installer 50-curtin-networking 99-disable-network-config curtin-preserve-sources; do
    rm -f "$root/etc/cloud/cloud.cfg.d/$name.cfg"
done
rm -f "$root/etc/cloud/cloud-init.disabled" "$root/etc/cloud/ds-identify.cfg"
rm -f "$root"/etc/netplan/*.yaml "$root"/etc/netplan/*.yml
if [ "$pin" = yes ]; then
    # One line: ds-identify does not read a list of several.
    echo 'datasource_list: [VMware, None]' >"$root/etc/cloud/cloud.cfg.d/95-ceso.cfg"
fi

say "accounts and keys"
rm -f "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub
rm -f "$root/etc/ssh/sshd_config.d/50-cloud-init.conf"
rm -rf "$root/root/.ssh"
rm -f "$root"/root/.*_history "$root"/home/*/.*_history
rm -f "$root/etc/sudoers.d/90-cloud-init-users"
if running; then
    passwd -l root >/dev/null
fi
if [ -n "$user" ]; then
    if running; then
        # The account may have this very session open.
        userdel -f -r "$user" 2>/dev/null || ! id "$user" >/dev/null 2>&1
    else
        for file in passwd shadow group gshadow; do
            [ ! -e "$root/etc/$file" ] || sed -i "/^$user:/d" "$root/etc/$file"
        done
        rm -rf "${root:?}/home/${user:?}"
    fi
    rm -f "$root/etc/sudoers.d/$user" "$root/etc/sudoers.d/90-$user"
fi

say "cloud-init's state"
if running && command -v cloud-init >/dev/null; then
    cloud-init clean --logs --seed
    # These exist from 23.1 and 24.1 on; what they do is done below too.
    cloud-init clean --machine-id --configs all 2>/dev/null || true
fi
rm -rf "$root/var/lib/cloud/instance" "$root/var/lib/cloud/instances" "$root/var/lib/cloud/data" \
    "$root/var/lib/cloud/sem" "$root/var/lib/cloud/seed"

say "identity"
if [ -e "$root/etc/machine-id" ] && [ "$(cat "$root/etc/machine-id")" != uninitialized ]; then
    # Empty, so that systemd does not take the next boot for the first and apply presets.
    : >"$root/etc/machine-id"
fi
if [ -e "$root/var/lib/dbus/machine-id" ] && [ ! -L "$root/var/lib/dbus/machine-id" ]; then
    rm -f "$root/var/lib/dbus/machine-id"
fi
if running; then
    # Its unit saves a new seed when it stops, which would otherwise be at the shutdown.
    systemctl stop systemd-random-seed.service 2>/dev/null || true
fi
rm -f "$root/var/lib/systemd/random-seed" "$root/var/lib/systemd/credential.secret"
rm -f "$root"/var/lib/dhcp/* "$root"/var/lib/NetworkManager/*lease*
echo localhost >"$root/etc/hostname"

say "logs and temporary files"
if [ -d "$root/var/log" ]; then
    find "$root/var/log" -type f -exec truncate -s 0 {} +
fi
if running; then
    apt-get clean
fi
# The job that runs this may have its own file there, so only what is older goes.
for folder in tmp var/tmp; do
    [ ! -d "$root/$folder" ] || find "${root:-}/$folder" -mindepth 1 -mmin +1 -delete 2>/dev/null || true
done

say "what is left to look at"
left=0
found=$(grep -rlE '^(network|datasource_list):' "$root/etc/cloud" 2>/dev/null || true)
for file in $found; do
    if grep -qE '^network:' "$file" || ! grep -E '^datasource_list:' "$file" | grep -q VMware; then
        echo "$file competes with guestinfo: take out its network: or datasource_list:" >&2
        left=1
    fi
done
lines="$root/etc/default/grub $root/boot/grub/grub.cfg"
running && lines="$lines /proc/cmdline"
for file in $lines "$root"/etc/default/grub.d/*.cfg; do
    [ -e "$file" ] || continue
    if grep -v '^[[:space:]]*#' "$file" | grep -qE '(^|[[:space:]"])(ds=|autoinstall|cloud-init=disabled)'; then
        echo "$file: take ds=, autoinstall or cloud-init= out of the kernel command line, then update-grub" >&2
        left=1
    fi
done
for program in cloud-init vmtoolsd; do
    if [ ! -e "$root/usr/bin/$program" ] && [ ! -L "$root/usr/bin/$program" ]; then
        echo "$program is not installed" >&2
        left=1
    fi
done
[ "$left" = 0 ] || exit 1

if running; then
    fstrim -av || true
    sync
fi
say "ready. Switch it off and do not start it again; then: ceso template prepare"
if running && [ "$poweroff" = yes ]; then
    systemctl poweroff
fi
