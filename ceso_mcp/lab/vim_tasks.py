"""hostd's tasks: their ids, the lists that keep them, and what task_info tells of one."""

from __future__ import annotations

import time
from collections.abc import Callable

from ceso_mcp.lab.dump import UNSET, Arr, Null, Obj, Ref, Value, fault
from ceso_mcp.lab.result import Faulted, Result
from ceso_mcp.lab.view_names import zulu
from ceso_mcp.lab.vim_cmd import VimCmd
from ceso_mcp.lab.vim_state import TASKS_KEPT, Task
from ceso_mcp.lab.world import Vm, World

GONE = "The object has already been deleted or has not been completely created"


class Tasks:
    """The tasks of one world. `cancellers` holds how to cancel those that wait for somebody."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.cancellers: dict[str, Callable[[], None]] = {}

    def add_to(self, vim: VimCmd) -> None:
        vim.add("vimsvc/task_list", self.task_list)
        vim.add("hostsvc/task_list", self.task_list)
        vim.add("vimsvc/task_info", self.info, 1, "task_id")
        vim.add("vimsvc/task_cancel", self.cancel, 1, "task_id")

    def begin(self, vm: Vm | None, method: str) -> Task:
        """A new task that runs now; without a VM it is the host's own."""
        self._world.next_task += 1
        entity = "ha-host" if vm is None else str(vm.vmid)
        name = self._world.hostname if vm is None else vm.name
        task = Task(self._world.next_task, entity, name, method, time.time())
        tasks = [*self._world.vim.tasks, task]
        old = [item for item in tasks if item.entity == entity][:-TASKS_KEPT]
        self._world.vim.tasks = [item for item in tasks if item not in old]
        return task

    def end(self, task: Task, error: Obj | None = None) -> None:
        """It is over; it stays listed."""
        task.state = "success" if error is None else "error"
        task.error = None if error is None else (error.type, error.msg or "")
        task.completed_at = time.time()

    def _list(self, tasks: list[Task]) -> Result:
        keys: list[Value] = [Ref(f"vim.Task:{task.key}") for task in tasks]
        return Result(self._world.vim.render(Arr("ManagedObjectReference", keys)))

    def of(self, vm: Vm) -> Result:
        """`vmsvc/get.tasklist` (transcript vimcmd-get.tasklist-1)."""
        return self._list([task for task in self._world.vim.tasks if task.entity == str(vm.vmid)])

    async def task_list(self, _: list[str]) -> Result:
        return self._list(self._world.vim.tasks)

    def _find(self, key: str) -> Task:
        for task in self._world.vim.tasks:
            if task.key == key:
                return task
        raise Faulted(fault("vmodl.fault.ManagedObjectNotFound", GONE, obj=Ref(f"vim.Task:{key}")))

    async def cancel(self, arguments: list[str]) -> Result:
        """A task that waits ends; one that is over is left as it is (silently: assumed)."""
        task = self._find(arguments[0])
        cancel = self.cancellers.get(task.key)
        if cancel is not None:
            cancel()
        return Result(changed=cancel is not None)

    async def info(self, arguments: list[str]) -> Result:
        """`vim.TaskInfo` (transcript vimcmd-task_info-2); needs the whole key without `vim.Task:`."""
        task = self._find(arguments[0])
        over = task.state in ("success", "error")
        fields: dict[str, Value] = {
            "key": task.key,
            "task": Ref(f"vim.Task:{task.key}"),
            "description": Null("vmodl.LocalizableMessage"),
            "name": f"vim.{task.kind}.{task.method}",
            "descriptionId": f"{task.kind}.{task.method}",
            "entity": Ref(f"vim.{task.kind}:{task.entity}"),
            "entityName": task.entity_name,
            "state": task.state,
            "cancelled": False,
            "cancelable": task.key in self.cancellers,
            "error": fault(*task.error) if task.error else Null("vmodl.MethodFault"),
            "result": UNSET,
            "progress": 100 if over else UNSET,
            "reason": Obj("vim.TaskReasonUser", {"userName": "root"}),
            "queueTime": zulu(task.queued_at),
            "startTime": zulu(task.queued_at),
            "completeTime": zulu(task.completed_at) if over else UNSET,
            "eventChainId": task.number,
            "changeTag": UNSET,
            "parentTaskKey": UNSET,
            "rootTaskKey": UNSET,
        }
        return Result(self._world.vim.render(Obj("vim.TaskInfo", fields)))
