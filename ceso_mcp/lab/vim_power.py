"""`vim-cmd vmsvc/power.*` and `vmsvc/message` (fact sheet vim-cmd §3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ceso_mcp.lab import questions
from ceso_mcp.lab.dump import Obj, fault
from ceso_mcp.lab.guests import Guests
from ceso_mcp.lab.inventory import Inventory, invalid_state
from ceso_mcp.lab.power import CANCEL, Power
from ceso_mcp.lab.result import Faulted, Result
from ceso_mcp.lab.vim_cmd import Command, VimCmd
from ceso_mcp.lab.vim_tasks import Tasks
from ceso_mcp.lab.world import OFF, ON, SUSPENDED, Vm, World

STATES = {ON: "Powered on", OFF: "Powered off", SUSPENDED: "Suspended"}


def failed(banner: str, word: str, trouble: Obj, world: World) -> Result:
    """How an operation says that it failed: on stdout up to 5.x, on stderr later (§1.4)."""
    vim = world.vim
    if not vim.at_least("6.0"):
        return Result(banner + vim.render(trouble), exit=1)
    more = f": {vim.render(trouble)}" if vim.at_least("8.0") else "\n"
    return Result(banner, f"{word} failed{more}", 1)


class PowerCommands:
    """Adds its commands to a `VimCmd`."""

    def __init__(
        self, world: World, inventory: Inventory, power: Power, guests: Guests, tasks: Tasks
    ) -> None:
        self._world, self._inventory = world, inventory
        self._power, self._guests, self._tasks = power, guests, tasks
        self._answers: dict[int, asyncio.Future[int]] = {}

    def add_to(self, vim: VimCmd) -> None:
        simple: dict[str, Callable[[Vm, list[str]], Result]] = {
            "power.getstate": lambda vm, _: Result(f"Retrieved runtime info\n{STATES[vm.state]}\n"),
            "power.off": lambda vm, _: self._switch(vm, "Powering off VM:\n", "Power off", self._off),
            "power.reset": lambda vm, _: self._switch(vm, "Reset VM:\n", "Reset", self._reset),
            "power.suspend": lambda vm, _: self._switch(vm, "Suspending VM:\n", "Suspend", self._suspend),
            "power.shutdown": lambda vm, _: self._ask_guest(vm, restart=False),
            "power.reboot": lambda vm, _: self._ask_guest(vm, restart=True),
            "message": self._message,
        }
        for name, act in simple.items():
            usage = "vmid [messageId] [messageChoice]" if name == "message" else "vmid"
            vim.add(f"vmsvc/{name}", self._on_vm(act), 1, usage)
        vim.add("vmsvc/power.on", self.power_on, 1, "vmid")

    def _on_vm(self, act: Callable[[Vm, list[str]], Result]) -> Command:
        async def run(arguments: list[str]) -> Result:
            return act(self._inventory.find(arguments[0]), arguments[1:])

        return run

    async def power_on(self, arguments: list[str]) -> Result:
        """Waits for the task, and for the answer when the VM puts a question."""
        vm = self._inventory.find(arguments[0])
        banner = "Powering on VM:\n"
        task = self._tasks.begin(vm, "powerOn")
        try:
            self._power.check_on(vm)
            answer = await self._ask(vm, task.key) if self._power.needs_answer(vm) else None
            if answer == CANCEL:
                raise Faulted(fault("vmodl.fault.RequestCanceled", "The task was canceled by a user."))
            self._power.switch_on(vm, answer)
        except Faulted as raised:
            self._tasks.end(task, raised.fault)
            self._inventory.save()
            return failed(banner, "Power on", raised.fault, self._world)
        self._tasks.end(task)
        self._inventory.save()
        self._guests.boot(vm)
        return Result(banner, changed=True)

    async def _ask(self, vm: Vm, key: str) -> int:
        """Put the question and wait; `vmsvc/message` answers, task_cancel cancels. The VM stays off."""
        vm.question = self._world.next_message
        self._world.next_message += 1
        self._inventory.save()
        future = self._answers[vm.vmid] = asyncio.get_running_loop().create_future()
        self._tasks.cancellers[key] = lambda: None if future.done() else future.set_result(CANCEL)
        try:
            answer: int = await future
            return answer
        finally:
            vm.question = None
            self._answers.pop(vm.vmid, None)
            self._tasks.cancellers.pop(key, None)
            self._inventory.save()

    def _message(self, vm: Vm, arguments: list[str]) -> Result:
        if vm.question is None:
            return Result("No message.\n")
        if len(arguments) < 2:
            return Result(questions.shown(vm, self._world.vim.era))
        future = self._answers.get(vm.vmid)
        valid = arguments[0] == str(vm.question) and arguments[1] in ("0", "1", "2")
        if future is None or future.done() or not valid:
            text = "A specified parameter was not correct: questionId"
            raise Faulted(fault("vmodl.fault.InvalidArgument", text))
        future.set_result(int(arguments[1]))
        return Result(changed=True)

    def _switch(self, vm: Vm, banner: str, word: str, act: Callable[[Vm], None]) -> Result:
        try:
            act(vm)
        except Faulted as raised:
            return failed(banner, word, raised.fault, self._world)
        return Result(banner, changed=True)

    def _done(self, vm: Vm, method: str) -> None:
        self._tasks.end(self._tasks.begin(vm, method))

    def _off(self, vm: Vm) -> None:
        if vm.state == OFF:
            raise invalid_state(OFF, vm.state)
        self._done(vm, "powerOff")
        self._power.switch_off(vm)

    def _reset(self, vm: Vm) -> None:
        if vm.state != ON:
            raise invalid_state(ON, vm.state)
        self._done(vm, "reset")
        self._guests.boot(vm)

    def _suspend(self, vm: Vm) -> None:
        if vm.state != ON:
            raise invalid_state(ON, vm.state)
        self._done(vm, "suspend")
        self._power.switch_off(vm, SUSPENDED)

    def _ask_guest(self, vm: Vm, restart: bool) -> Result:
        """Silent when the guest was asked; without Tools the fault's wording is assumed from the SDK."""
        if vm.state != ON:
            raise invalid_state(ON, vm.state)
        if not self._guests.has_tools(vm):
            text = "Cannot complete operation because VMware Tools is not running in this virtual machine."
            raise Faulted(fault("vim.fault.ToolsUnavailable", text))
        self._guests.restart(vm) if restart else self._guests.shut_down(vm)
        return Result(changed=True)
