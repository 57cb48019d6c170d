"""`vim-cmd` on the host's settings: autostart, advanced options, firmware, the licence."""

from __future__ import annotations

import uuid

from ceso_mcp.lab import advanced
from ceso_mcp.lab.dump import Arr, Obj, Ref, Value
from ceso_mcp.lab.result import Result
from ceso_mcp.lab.vim_cmd import VimCmd
from ceso_mcp.lab.vim_devices import wrong
from ceso_mcp.lab.world import World

YES = ("1", "true", "yes")
ENTRY = "VMId StartAction StartDelay StartOrder StopAction StopDelay WaitForHeartbeat"
PRODUCT = """   Properties:
     [ProductName] = VMware ESX Server
     [ProductVersion] = {release}
     [count_disabled] = This license is unlimited
     [feature] = vsmp:8 ("Up to 8-way virtual SMP")
     [FileVersion] = {version}.1
"""


class SettingCommands:
    """Adds its commands to a `VimCmd`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_to(self, vim: VimCmd) -> None:
        start = "hostsvc/autostartmanager"
        vim.add(f"{start}/enable_autostart", self.enable_autostart, 1, "enabled")
        vim.add(f"{start}/get_defaults", self.get_defaults)
        vim.add(f"{start}/get_autostartseq", self.get_sequence)
        vim.add(f"{start}/update_autostartentry", self.update_entry, 7, ENTRY)
        vim.add("hostsvc/advopt/view", self.view_option, 1, "key")
        vim.add("hostsvc/advopt/update", self.update_option, 3, "key type value")
        vim.add("hostsvc/firmware/sync_config", self.quiet)
        vim.add("hostsvc/firmware/backup_config", self.backup_config)
        vim.add("hostsvc/net/refresh", self.quiet)
        vim.add("vimsvc/license", self.license, 1, "--show | --set=KEY")

    async def quiet(self, _: list[str]) -> Result:
        return Result()

    async def enable_autostart(self, arguments: list[str]) -> Result:
        self._world.vim.autostart["enabled"] = arguments[0].lower() in YES
        return Result(changed=True)

    async def get_defaults(self, _: list[str]) -> Result:
        """The properties that scripts grep for; there is no capture of the whole (§7)."""
        view = Obj("vim.host.AutoStartManager.SystemDefaults", dict(self._world.vim.autostart))
        return Result(self._world.vim.render(view))

    async def get_sequence(self, _: list[str]) -> Result:
        """Transcript vimcmd-autostart-1, with all the properties of the SDK."""
        kind = "vim.host.AutoStartManager.AutoPowerInfo"
        entries = sorted(self._world.vim.autostart_entries.items(), key=lambda item: int(item[0]))
        items: list[Value] = [
            Obj(
                "vim.host.AutoStartManager.AutoPowerInfo", {"key": Ref(f"vim.VirtualMachine:{vmid}"), **entry}
            )
            for vmid, entry in entries
            if int(vmid) in self._world.vms
        ]
        return Result(self._world.vim.render(Arr(kind, items)))

    async def update_entry(self, arguments: list[str]) -> Result:
        """Seven words in the order of the usage line; silent."""
        vmid, start, start_delay, order, stop, stop_delay, heartbeat = arguments[:7]
        if not vmid.isdigit() or int(vmid) not in self._world.vms:
            raise wrong("key")
        if not all(word.lstrip("-").isdigit() for word in (start_delay, order, stop_delay)):
            raise wrong("startDelay")
        self._world.vim.autostart_entries[vmid] = {
            "startOrder": int(order),
            "startDelay": int(start_delay),
            "waitForHeartbeat": heartbeat,
            "startAction": start,
            "stopDelay": int(stop_delay),
            "stopAction": stop,
        }
        return Result(changed=True)

    async def view_option(self, arguments: list[str]) -> Result:
        """The option of that name, or all below it (`Net.`)."""
        known = self._world.vim.advanced
        keys = [key for key in known if key == arguments[0] or key.startswith(arguments[0].rstrip(".") + ".")]
        if not keys:
            raise wrong("name")
        items: list[Value] = [
            Obj("vim.option.OptionValue", {"key": key, "value": advanced.value(self._world, key)})
            for key in keys
        ]
        return Result(self._world.vim.render(Arr("vim.option.OptionValue", items)))

    async def update_option(self, arguments: list[str]) -> Result:
        key, kind, value = arguments[:3]
        known = self._world.vim.advanced
        number = kind.lower() in ("int", "long")
        if key not in known or number != isinstance(known[key], int):
            raise wrong(key)
        if number and not value.lstrip("-").isdigit():
            raise wrong(key)
        advanced.store(self._world, key, int(value) if number else value)
        return Result(changed=True)

    async def backup_config(self, _: list[str]) -> Result:
        """One line with `*` for the host (transcript vimcmd-firmware-1); the bundle itself is missing."""
        place = uuid.uuid5(uuid.NAMESPACE_DNS, self._world.uuid)
        bundle = f"configBundle-{self._world.hostname}.tgz"
        return Result(f"Bundle can be downloaded at : http://*/downloads/{place}/{bundle}\n")

    async def license(self, arguments: list[str]) -> Result:
        """`--show`, and `--set=KEY` that shows what holds then (transcripts vimcmd-license-2, -3)."""
        licence = self._world.vim.licence
        if arguments[0].startswith("--set="):
            licence["serial"] = arguments[0].removeprefix("--set=")
        elif arguments[0] != "--show":
            return Result("Insufficient arguments.\nUsage: license --show | --set=KEY\n\n", exit=1)
        text = " [200] Sending request for installed licenses...[200] Complete, result is:\n\n"
        text += "".join(f"   {key}: {value}\n" for key, value in licence.items())
        text += PRODUCT.format(release=self._world.release, version=self._world.version)
        return Result(text + " [200] End of report.\n", changed=arguments[0] != "--show")
