"""`esxcli software` (fact sheet esxcli-and-shell §2.6).

Packages are real ones: a `.vib` is an `ar` archive whose `descriptor.xml` says what it is.
"""

from __future__ import annotations

from ceso_mcp.lab.esxcli_forms import Answer, Row, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, block, blocks, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused
from ceso_mcp.lab.esxcli_packages import Package, Unusable, depot, vib
from ceso_mcp.lab.host_config import Labelled
from ceso_mcp.lab.service_defaults import VIBS
from ceso_mcp.lab.storage import VOLUMES

LEVELS = ("VMwareCertified", "VMwareAccepted", "PartnerSupported", "CommunitySupported")
WORDS = dict(zip(LEVELS, ("certified", "accepted", "partner", "community"), strict=True))
# Transcripts esxcli-vib-install-1, -2.
DONE = "Operation finished successfully."
REBOOT = (
    "The update completed successfully, but the system needs to be rebooted for the changes to be effective."
)
LOG = " Please refer to the log file for more details."


def _failed(kind: str, *lines: str) -> Refused:
    """Transcript esxcli-vib-install-error-1."""
    return Refused("\n".join([f" [{kind}]", *(f" {line}" for line in lines), LOG]))


class SoftwareCommands:
    """The packages of the image and what is done to them."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        rebooting = Option("rebooting-image", kind="flag")
        name = Option("vibname", "n", many=True)
        needed = Option("vibname", "n", required=True, many=True)
        switches = tuple(
            Option(word, letter, "flag")
            for word, letter in (
                ("dry-run", ""),
                ("force", "f"),
                ("maintenance-mode", ""),
                ("no-live-install", ""),
            )
        )
        sources = (Option("viburl", "v", many=True), Option("depot", "d", many=True), name)
        install = (*sources, *switches, Option("no-sig-check", kind="flag"), Option("proxy"))
        return [
            Command("software vib list", "Lists the installed VIB packages", self._list, (rebooting,)),
            Command(
                "software vib get",
                "Displays detailed information about one or more installed VIBs",
                self._get,
                (rebooting, name),
            ),
            *(
                Command(f"software vib {word}", text, self._install, install, changes=True)
                for word, text in (
                    ("install", "Installs VIB packages from a URL or depot."),
                    ("update", "Update installed VIB packages."),
                )
            ),
            Command(
                "software vib remove",
                "Removes VIB packages from the host.",
                self._remove,
                (needed, *switches),
                changes=True,
            ),
            Command(
                "software acceptance get",
                "Gets the host acceptance level.",
                lambda _: Scalar(self._ground.host.acceptance),
            ),
            Command(
                "software acceptance set",
                "Sets the host acceptance level.",
                self._accept,
                (Option("level", "l", required=True),),
                changes=True,
            ),
            Command(
                "software sources profile list",
                "List details about image profiles in the specified depots.",
                self._profiles,
                (Option("depot", "d", required=True, many=True), Option("proxy")),
            ),
        ]

    def _vibs(self) -> list[Labelled]:
        """The rows of `vib list` with the identifier, filled when they are asked for the first time."""
        world, host = self._ground.world, self._ground.host
        if not host.vibs:
            version = f"{world.version}-0.0.{world.build}"
            day = world.installed_on.partition("T")[0]
            host.vibs = [
                _row(Package(name, version, vendor, level, f"{vendor}_bootbank_{name}_{version}"), day)
                for name, vendor, level in VIBS
            ]
        return host.vibs

    def _list(self, _: Given) -> Answer:
        rows: list[Row] = list(self._vibs())
        answer = table("VIBSummaryExt", rows)
        hidden = ("ID",) if self._ground.major >= 8 else ("ID", "Platforms")
        answer.columns = tuple(name for name in answer.columns if name not in hidden)
        answer.more = ("ID",)
        return answer

    def _get(self, given: Given) -> Answer:
        """The 22 fields of the schema (esxcli-schema-hints-1); what a package does not say is empty."""
        names = given.get("vibname")
        chosen = [row for row in self._vibs() if names is None or row["Name"] in names]
        if names is not None and not chosen:
            raise _failed("NoMatchError", f"No VIB matching VIB search specification '{names[0]}'.")
        rows: list[Row] = []
        for row in chosen:
            rows.append(
                {
                    "ID": row["ID"],
                    "Name": row["Name"],
                    "Version": row["Version"],
                    "Type": "bootbank",
                    "Vendor": row["Vendor"],
                    "Acceptance Level": row["Acceptance Level"],
                    "Summary": "",
                    "Description": "",
                    "ReferenceURLs": [],
                    "Creation Date": row["Install Date"],
                    "Depends": [],
                    "Conflicts": [],
                    "Replaces": [],
                    "Provides": [],
                    "Maintenance Mode Required": "False",
                    "Hardware Platforms Required": [],
                    "Live Install Allowed": "True",
                    "Live Remove Allowed": "True",
                    "Stateless Ready": "True",
                    "Overlay": "False",
                    "Tags": [],
                    "Payloads": [row["Name"]],
                    **({"Platforms": "host"} if self._ground.major >= 8 else {}),
                }
            )
        answer = blocks("VIBExt", rows, header="ID")
        answer.columns = tuple(label for label in answer.columns if label != "ID")
        answer.more = ("ID",)
        return answer

    def _result(
        self, type_name: str, heading: str, added: list[str], gone: list[str], reboot: bool
    ) -> Answer:
        row: Row = {
            "Message": REBOOT if reboot else DONE,
            "VIBs Installed": added,
            "VIBs Removed": gone,
            "VIBs Skipped": [],
            "Reboot Required": reboot,
        }
        if self._ground.major >= 8:
            row["DPU Results"] = []
        return block(type_name, row, header=heading)

    def _packages(self, given: Given) -> list[Package]:
        found: list[Package] = []
        for url in [*given.get("viburl", []), *given.get("depot", [])]:
            path = self._ground.storage.canonical(url.removeprefix("file:").replace("//", "/"))
            if path is None or not path.startswith(VOLUMES):
                raise _failed("MetadataDownloadError", f"Could not download from depot at {url}, skipping")
            place = self._ground.storage.here(path)
            try:
                found += depot(place)[0] if url in given.get("depot", []) else [vib(place)]
            except (OSError, Unusable) as trouble:
                raise _failed("VibDownloadError", f"Failed to read {url}: {trouble}") from None
        names = given.get("vibname")
        return [package for package in found if names is None or package.name in names]

    def _install(self, given: Given) -> Answer:
        """Sentences as in esxcli-vib-install-error-1; other failures are assumed."""
        if not given.get("viburl") and not given.get("depot"):
            raise _failed("InstallationError", "Please specify either a VIB URL or a depot.")
        packages, rows, host = self._packages(given), self._vibs(), self._ground.host
        if not packages:
            raise _failed("NoMatchError", "No VIB matching the specification.")
        for package in packages:
            low = LEVELS.index(package.level) > LEVELS.index(host.acceptance)
            if low and "force" not in given and "no-sig-check" not in given:
                raise _failed(
                    "AcceptanceConfigError",
                    f"VIB {package.identifier}'s acceptance level is {WORDS[package.level]}, which is not"
                    f" compliant with the ImageProfile acceptance level {WORDS[host.acceptance]}",
                    "To change the host acceptance level, use the 'esxcli software acceptance set' command.",
                )
        names = {package.name for package in packages}
        gone = [str(row["ID"]) for row in rows if row["Name"] in names]
        added = [package.identifier for package in packages]
        reboot = any(not package.live for package in packages) or "no-live-install" in given
        if "dry-run" not in given:
            day = self._ground.today()
            host.vibs = [row for row in rows if row["Name"] not in names]
            host.vibs += [_row(package, day) for package in packages]
            self._ground.save()
        return self._result("InstallationResult", "Installation Result", added, gone, reboot)

    def _remove(self, given: Given) -> Answer:
        rows, host = self._vibs(), self._ground.host
        for name in given["vibname"]:
            if all(row["Name"] != name for row in rows):
                raise _failed("NoMatchError", f"No VIB matching VIB search specification '{name}'.")
        gone = [str(row["ID"]) for row in rows if row["Name"] in given["vibname"]]
        if "dry-run" not in given:
            host.vibs = [row for row in rows if row["Name"] not in given["vibname"]]
            self._ground.save()
        return self._result("InstallationResult", "Removal Result", [], gone, "no-live-install" in given)

    def _accept(self, given: Given) -> Scalar:
        if given["level"] not in LEVELS:
            raise _failed("AcceptanceConfigError", f"Unknown acceptance level '{given['level']}'.")
        self._ground.host.acceptance = given["level"]
        return self._ground.done()

    def _profiles(self, given: Given) -> Answer:
        rows: list[Labelled] = []
        for url in given["depot"]:
            path = self._ground.storage.canonical(url.removeprefix("file:"))
            if path is None:
                raise _failed("MetadataDownloadError", f"Could not download from depot at {url}, skipping")
            try:
                rows += depot(self._ground.storage.here(path))[1]
            except (OSError, Unusable) as trouble:
                raise _failed("MetadataDownloadError", f"Failed to read {url}: {trouble}") from None
        return table("ImageProfileSummary", rows)


def _row(package: Package, day: str) -> Labelled:
    return {
        "ID": package.identifier,
        "Name": package.name,
        "Version": package.version,
        "Vendor": package.vendor,
        "Acceptance Level": package.level,
        "Install Date": day,
        "Platforms": "host",
    }
