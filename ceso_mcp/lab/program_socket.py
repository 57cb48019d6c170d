"""hostd's socket: what the programs of the make-believe host ask, and the faults that hit their calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from ceso_mcp.lab.hostd import Hostd
from ceso_mcp.lab.records import Fault
from ceso_mcp.lab.result import Result
from ceso_mcp.lab.shell_programs import df, measured, vdf, vmware
from ceso_mcp.lab.shell_queries import ShellQueries

# esxcli-error-hostd-down-1 and vimcmd-login-failed-2; the stream of the latter is assumed.
AWAY = {
    "esxcli": "Connect to localhost failed: Connection failure\n",
    "vim-cmd": "Failed to login: Connection refused\n",
}
# How long `/etc/init.d/hostd restart` keeps vim-cmd and esxcli waiting (assumed).
RESTART_S = 1.0


class ProgramSocket:
    """Serves the connections of vim-cmd, esxcli, vmkfstools and their like for one hostd."""

    def __init__(self, hostd: Hostd) -> None:
        self.hostd = hostd
        self._calls: dict[str, tuple[int, list[str]]] = {}
        self._cuts: dict[str, Fault] = {}
        self._late: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One program's connection, until it closes."""
        owner = f"program:{id(writer)}"
        try:
            while True:
                fields = await _request(reader)
                if fields[0] == "run":
                    await self._run(fields, reader, writer)
                    break
                await self._disk(fields, owner, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.hostd.disk_desk.gone(owner)
            left = self._calls.pop(owner, None)
            if left is not None:
                self.hostd.log.shim_ended(left[0], left[1], 255, True)
            self._cuts.pop(owner, None)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _run(
        self, fields: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        exec_id, cwd, argv = int(fields[1]), fields[2], fields[3:]
        if argv[0] in ("vim-cmd", "esxcli") and self.hostd.world.latency_s:
            await asyncio.sleep(self.hostd.world.latency_s)
        fault = self.hostd.rules.hit("shim", " ".join(argv))
        if fault is not None and fault.effect in ("fail", "late"):
            result = Result(fault.stdout, fault.stderr, fault.exit_status)
            if fault.effect == "late":
                self._later(fault.seconds, exec_id, argv, cwd)
        else:
            if fault is not None:
                await self._before(fault, exec_id, reader)
            work = asyncio.ensure_future(self._program(argv, cwd))
            gone = asyncio.ensure_future(reader.read(1))
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
            gone.cancel()
            if work.cancelled():
                self.hostd.log.shim_ended(exec_id, argv, 255, False)
                return
            result = work.result()
            if fault is not None and fault.effect == "lie":
                result = Result(fault.stdout, fault.stderr, fault.exit_status, result.changed)
        self.hostd.log.shim_ended(exec_id, argv, result.exit, result.changed)
        if fault is not None and fault.effect == "cut_after":
            self._cut(exec_id)
        for kind, text in ((b"1", result.stdout), (b"2", result.stderr)):
            if text:
                _frame(writer, kind, text.encode("utf-8", "surrogateescape"))
        _frame(writer, b"x", str(result.exit).encode())
        await writer.drain()

    async def _before(self, fault: Fault, exec_id: int, reader: asyncio.StreamReader) -> None:
        if fault.effect == "cut_before":
            self._cut(exec_id)
            raise ConnectionAbortedError
        if fault.effect == "hang":
            await reader.read(1)
            raise ConnectionAbortedError
        if fault.effect == "delay":
            await asyncio.sleep(fault.seconds)
        self.hostd.apply(fault)

    def _cut(self, exec_id: int) -> None:
        session = self.hostd.machine.running.get(exec_id) if self.hostd.machine is not None else None
        if session is not None:
            session.cut()

    def _later(self, seconds: float, exec_id: int, argv: list[str], cwd: str) -> None:
        """Carry a call out after its answer was given."""

        async def work() -> None:
            await asyncio.sleep(seconds)
            result = await self._program(argv, cwd)
            self.hostd.log.shim_ended(exec_id, argv, result.exit, result.changed)

        task = asyncio.ensure_future(work())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _program(self, argv: list[str], cwd: str) -> Result:
        if self.hostd.away and argv[0] in AWAY:
            return Result(AWAY[argv[0]], exit=1)
        programs: dict[str, Callable[[list[str]], Result]] = {
            "esxcli": self.hostd.cli.run,
            "localcli": self.hostd.cli.run,
            "vmware": lambda words: vmware(self.hostd.world, words),
            "pam_tally2": self._pam_tally2,
            "vdf": lambda words: self._vdf(words, cwd),
            "hostd": self._service,
            "df": lambda words: df(self.hostd.storage, words, cwd),
        }
        if argv[0] == "vim-cmd":
            return await self.hostd.vim.run(argv[1:])
        if argv[0] not in programs:
            root = self.hostd.machine.host.root if self.hostd.machine is not None else None
            return ShellQueries(self.hostd.world, self.hostd.cli, root).run(argv)
        return programs[argv[0]](argv[1:])

    def _service(self, words: list[str]) -> Result:
        """`/etc/init.d/hostd` (shell-hostd-restart-1)."""
        if words == ["restart"]:
            self.hostd.restart(RESTART_S)
            return Result("hostd stopped.\nhostd started.\n")
        if words == ["status"]:
            return Result("hostd is running.\n")
        return Result(exit=1)

    def _vdf(self, words: list[str], cwd: str) -> Result:
        """The ramdisks in whole units whatever the options, then what `df` shows (order assumed)."""
        assert self.hostd.machine is not None
        disks = df(self.hostd.storage, words, cwd)
        return Result(vdf(measured(self.hostd.machine.host.root)) + disks.stdout, disks.stderr, disks.exit)

    def _pam_tally2(self, words: list[str]) -> Result:
        """`--user U --reset` unlocks an account; its listing is not evidenced and stays empty."""
        user = next((words[at + 1] for at, word in enumerate(words[:-1]) if word in ("--user", "-u")), "root")
        if self.hostd.machine is not None and {"--reset", "-r"} & set(words):
            self.hostd.machine.access.forget(user)
        return Result()

    # --- vmkfstools

    async def _disk(
        self, fields: list[str], owner: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        kind = fields[0]
        reply = self.hostd.disk_desk.answer(fields, owner) or "ok"
        if kind == "disk":
            reply = await self._disk_begins(fields, owner, reader, writer)
        elif kind == "done":
            exec_id, argv = self._calls.pop(owner, (0, ["vmkfstools"]))
            self.hostd.log.shim_ended(exec_id, argv, int(fields[2]), fields[1] == "1")
        elif kind == "progress":
            fault = self._cuts.get(owner)
            if fault is not None and int(fields[1]) >= fault.percent:
                self._cut(self._calls[owner][0])
        _frame(writer, b"r", reply.encode("utf-8", "surrogateescape"))
        await writer.drain()

    async def _disk_begins(
        self, fields: list[str], owner: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        exec_id, argv = int(fields[1]), fields[3:]
        self._calls[owner] = (exec_id, argv)
        fault = self.hostd.rules.hit("shim", " ".join(argv))
        if fault is None:
            return "-1"
        if fault.effect == "fail":
            self.hostd.log.shim_ended(exec_id, argv, fault.exit_status, False)
            for kind, text in ((b"1", fault.stdout), (b"2", fault.stderr)):
                _frame(writer, kind, text.encode("utf-8", "surrogateescape"))
            _frame(writer, b"x", str(fault.exit_status).encode())
            self._calls.pop(owner)
            await writer.drain()
            raise ConnectionAbortedError
        if fault.effect == "kill":
            return str(fault.percent)
        if fault.effect == "cut_after":
            self._cuts[owner] = fault
        else:
            await self._before(fault, exec_id, reader)
        return "-1"


async def _request(reader: asyncio.StreamReader) -> list[str]:
    length = int.from_bytes(await reader.readexactly(4), "big")
    content = await reader.readexactly(length)
    return [field.decode("utf-8", "surrogateescape") for field in content.split(b"\0")]


def _frame(writer: asyncio.StreamWriter, kind: bytes, content: bytes) -> None:
    writer.write(kind + len(content).to_bytes(4, "big") + content)
