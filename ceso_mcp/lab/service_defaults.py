"""The accounts, settings, services and packages of the seeded host, as rows and tuples.

Accounts: esxcli-account-list-1 and -permission-list-1; settings and their defaults: fact sheet §3.4; sshd:
shell-sshd-config-1. The packages are made up in the form of the captures.
"""

from __future__ import annotations

from typing import Any

Labelled = dict[str, Any]

ACCOUNTS = [
    ("root", "Administrator", "Admin"),
    ("dcui", "DCUI User", "Admin"),
    ("vpxuser", "VMware VirtualCenter administration account", "Admin"),
]

# path, value, default, lowest, highest, characters, description, hidden
SETTINGS: list[tuple[Any, ...]] = [
    ("/Misc/HostName", "", "", 0, 0, "**", "Name of this host."),
    ("/Syslog/global/logDir", "[] /scratch/log", "[] /scratch/log", 0, 0, "**", "Where logs are kept."),
    ("/Syslog/global/logHost", "", "", 0, 0, "**", "The remote hosts that logs are sent to."),
    (
        "/Net/FollowHardwareMac",
        1,
        1,
        0,
        1,
        "",
        "If set to 1, the management interface MAC address will update whenever the hardware"
        " MAC address changes.",
    ),
    (
        "/Net/GuestIPHack",
        0,
        0,
        0,
        1,
        "",
        "Enable guest IP learning hack.",
    ),
    (
        "/Net/TcpipDefLROEnabled",
        1,
        1,
        0,
        1,
        "",
        "LRO enabled for TCP/IP",
    ),
    (
        "/Security/AccountLockFailures",
        5,
        5,
        0,
        100,
        "",
        "Failed login attempts before an account is locked.",
    ),
    (
        "/Security/AccountUnlockTime",
        900,
        900,
        0,
        86400,
        "",
        "Seconds after which a locked account is unlocked.",
    ),
    (
        "/UserVars/DcuiTimeOut",
        600,
        600,
        0,
        86400,
        "",
        "An idle time in seconds before DCUI is automatically logged out.",
    ),
    (
        "/UserVars/ESXiShellInteractiveTimeOut",
        0,
        0,
        0,
        86400,
        "",
        "Idle time in seconds before an interactive shell is closed.",
    ),
    (
        "/UserVars/ESXiShellTimeOut",
        0,
        0,
        0,
        86400,
        "",
        "Time in seconds before local and remote shell access is disabled.",
    ),
    (
        "/UserVars/SuppressShellWarning",
        0,
        0,
        0,
        1,
        "",
        "Do not show warning for enabled local and remote shell access.",
    ),
    (
        "/User/execInstalledOnly",
        1,
        1,
        0,
        1,
        "",
        "Run only programs that are part of installed VIBs.",
        True,
    ),
]

KERNEL: list[Labelled] = [
    {
        "Name": "execInstalledOnly",
        "Type": "Bool",
        "Configured": "FALSE",
        "Runtime": "FALSE",
        "Default": "FALSE",
        "Description": "Execute only programs that are part of installed VIBs.",
    },
    {
        "Name": "iovDisableIR",
        "Type": "Bool",
        "Configured": "FALSE",
        "Runtime": "FALSE",
        "Default": "FALSE",
        "Description": "Disable Interrrupt Routing in the IOMMU",
    },
    {
        "Name": "vga",
        "Type": "Bool",
        "Configured": "FALSE",
        "Runtime": "TRUE",
        "Default": "TRUE",
        "Description": "Enable/Disable VGA support.",
    },
]

# esxcli-syslog-config-1 (6.5); the fields of 8.x are not known.
SYSLOG: Labelled = {
    "Default Network Retry Timeout": 180,
    "Dropped Log File Rotation Size": 100,
    "Dropped Log File Rotations": 10,
    "Enforce SSLCertificates": False,
    "Local Log Output": "/scratch/log",
    "Local Log Output Is Configured": False,
    "Local Log Output Is Persistent": True,
    "Local Logging Default Rotation Size": 1024,
    "Local Logging Default Rotations": 8,
    "Log To Unique Subdirectory": False,
    "Message Queue Drop Mark": 90,
    "Remote Host": "<none>",
}

# shell-sshd-config-1; keywords in lower case (fact sheet §2.1).
SSHD = {
    "allowstreamlocalforwarding": "no",
    "allowtcpforwarding": "no",
    "banner": "/etc/issue",
    "challengeresponseauthentication": "yes",
    "ciphers": "aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr",
    "clientalivecountmax": "3",
    "clientaliveinterval": "200",
    "fipsmode": "yes",
    "gatewayports": "no",
    "hostbasedauthentication": "no",
    "hostkeyalgorithms": ",".join(
        (
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "rsa-sha2-256",
            "rsa-sha2-512",
        )
    ),
    "ignorerhosts": "yes",
    "kexalgorithms": ",".join(
        (
            "ecdh-sha2-nistp256",
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521",
            "diffie-hellman-group-exchange-sha256",
            "diffie-hellman-group16-sha512",
            "diffie-hellman-group18-sha512",
            "diffie-hellman-group14-sha256",
        )
    ),
    "loglevel": "info",
    "macs": "hmac-sha2-256,hmac-sha2-512",
    "maxstartups": "10:30:100",
    "permitrootlogin": "yes",
    "permittunnel": "no",
    "permituserenvironment": "no",
    "printmotd": "yes",
    "rekeylimit": "1G, 1H",
    "syslogfacility": "auth",
    "tcpkeepalive": "yes",
    "usepam": "yes",
    "x11forwarding": "no",
    "strictmodes": "yes",
    "passwordauthentication": "no",
    "permitemptypasswords": "no",
    "compression": "no",
}

VIBS = (
    ("esx-base", "VMware", "VMwareCertified"),
    ("esx-ui", "VMware", "VMwareCertified"),
    ("ixgben", "VMW", "VMwareCertified"),
    ("nvme-pcie", "VMW", "VMwareCertified"),
    ("tools-light", "VMware", "VMwareCertified"),
)
