"""The programs in the make-believe host's `/bin` that are not busybox applets, as texts."""

from __future__ import annotations

from ceso_mcp.lab import shell_queries

INTERPRETER = "/usr/lib/vmware/lab/python3"
"""What the lab's own programs run in: a host that shows no python3 runs them too."""
_HEAD = f'#!{INTERPRETER} -IS\nimport sys\nsys.path.insert(0, "/usr/lib/vmware/lab")\n'
_REMOTE = _HEAD + 'from disks.wire import run_remote\nsys.exit(run_remote("{name}", sys.argv[1:]))\n'
_VMKFSTOOLS = _HEAD + "from disks.vmkfstools import main\nmain(sys.argv[1:])\n"

_SCP = _HEAD + "from inside.scp import main\nsys.exit(main(sys.argv[1:]))\n"
SFTP_SERVER = _HEAD + "from inside.sftp_server import main\nmain()\n"

_NOHUP = """#!/bin/sh
[ $# -gt 0 ] || { echo "BusyBox v1.29.3 multi-call binary." >&2; exit 127; }
trap '' HUP
[ -t 0 ] && exec </dev/null
[ -t 1 ] && exec >>nohup.out
[ -t 2 ] && exec 2>&1
exec "$@"
"""

_UNAME = """#!/bin/sh
name=$(hostname); release={release}; version='{version}'
case "$1" in
''|-s) echo VMkernel;;
-n) echo "$name";;
-r) echo "$release";;
-v) echo "$version";;
-m|-p|-i) echo x86_64;;
-o) echo ESXi;;
*) echo "VMkernel $name $release $version x86_64 x86_64 x86_64 ESXi";;
esac
"""

# POSIX cksum: the CRC is not reflected, zlib's is; reversing the bits of every byte turns one into the other.
_CKSUM = (
    _HEAD
    + """import zlib
REVERSE = bytes(int(f"{n:08b}"[::-1], 2) for n in range(256))
def total(file):
    crc, size = 0, 0
    def add(crc, data):
        return zlib.crc32(data.translate(REVERSE), crc ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    while chunk := file.read(1 << 20):
        crc, size = add(crc, chunk), size + len(chunk)
    length = size
    while length:
        crc, length = add(crc, bytes([length & 255])), length >> 8
    return int(f"{crc ^ 0xFFFFFFFF:032b}"[::-1], 2), size
status = 0
if len(sys.argv) == 1:
    print("%d %d" % total(sys.stdin.buffer))
for name in sys.argv[1:]:
    try:
        with open(name, "rb") as file:
            print("%d %d %s" % (*total(file), name))
    except OSError as error:
        print(f"cksum: {name}: {error.strerror}", file=sys.stderr)
        status = 1
sys.exit(status)
"""
)


def texts(release: str, version: str) -> dict[str, str]:
    """File name to content; all go to `/bin`, executable. `release` is like `8.0.3`."""
    remote = ("vim-cmd", "esxcli", "localcli", "vmware", "df", "vdf", "pam_tally2", *shell_queries.NAMES)
    return {
        **{name: _REMOTE.format(name=name) for name in remote},
        "vmkfstools": _VMKFSTOOLS,
        "scp": _SCP,
        "nohup": _NOHUP,
        "uname": _UNAME.format(release=release, version=version),
        "cksum": _CKSUM,
    }


_HOSTD = _HEAD + 'from disks.wire import run_remote\nsys.exit(run_remote("hostd", sys.argv[1:]))\n'
_SSH = """#!/bin/sh
case "$1" in
stop) echo SSH login disabled;;
start) echo SSH login enabled;;
restart) echo SSH login disabled; echo SSH login enabled;;
*) exit 1;;
esac
"""
_USB = """#!/bin/sh
[ "$1" = status ] && echo usbarbitrator is running
"""


def init_scripts() -> dict[str, str]:
    """The files of `/etc/init.d` (shell-hostd-restart-1, shell-ssh-restart-1, shell-usbarbitrator-1).

    SSH only says what it would do: logins go on.
    """
    return {"hostd": _HOSTD, "SSH": _SSH, "usbarbitrator": _USB}


# The defaults of 8.0.2 (shell-sshd-config-1).
SSHD_CONFIG = """\
allowstreamlocalforwarding no
allowtcpforwarding no
banner /etc/issue
challengeresponseauthentication yes
ciphers aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr
clientalivecountmax 3
clientaliveinterval 200
fipsmode yes
gatewayports no
hostbasedauthentication no
hostkeyalgorithms ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,\
ecdsa-sha2-nistp521,rsa-sha2-256,rsa-sha2-512
ignorerhosts yes
kexalgorithms ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256
loglevel info
macs hmac-sha2-256,hmac-sha2-512
maxstartups 10:30:100
permitrootlogin yes
permittunnel no
permituserenvironment no
printmotd yes
rekeylimit 1G, 1H
syslogfacility auth
tcpkeepalive yes
usepam yes
x11forwarding no
subsystem sftp /usr/lib/vmware/openssh/bin/sftp-server -f LOCAL5 -l INFO
strictmodes yes
passwordauthentication no
permitemptypasswords no
hostkey /etc/ssh/ssh_host_rsa_key
hostkey /etc/ssh/ssh_host_ecdsa_key
compression no
authorizedkeysfile /etc/ssh/keys-%u/authorized_keys
"""
