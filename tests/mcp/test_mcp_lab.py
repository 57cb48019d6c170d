"""The real operations on a lab: resources, prompts, completion, subscriptions, and a VM from end to end."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError, types
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated
from workshop import ERAS, Caller, Dialog

from ceso_mcp.app import Ceso
from ceso_mcp.config import BackupSection, Config, HostSection
from ceso_mcp.lab import Lab
from ceso_mcp.surfaces.mcp.server import build_server
from ceso_mcp.worker import perform

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2nqvjQ4S0sF0VYVwWw0jvVd9Cl8u1yq2fQxJ0b7m5c ada@example"
TEMPLATE = "ubuntu-24.04-golden"
STATIC = ["ceso://host", "ceso://vms", "ceso://backups", "ceso://jobs"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    lab.start(boot_delay_s=0.05)
    yield lab
    lab.stop()


class Site:
    """A ceso on the lab, whose jobs run in this process; `again()` is a new process on the same state."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        address = lab.address()
        self.lab = lab
        self.config = Config(
            host=HostSection(
                address=address.host,
                port=address.port,
                user=address.user,
                host_keys=address.host_keys,
                key_file=address.key_file,
            ),
            backup=BackupSection(repository=folder / "backups"),
            state_dir=folder / "state",
        )
        self.workers: set[asyncio.Task[None]] = set()
        self.opened: list[Ceso] = []
        self.again()

    def again(self) -> None:
        self.ceso = Ceso(self.config, spawn=self._work)
        self.opened.append(self.ceso)
        self.server = build_server(self.ceso)

    def _work(self, job_id: str, *rest: Any) -> int:
        task = asyncio.get_running_loop().create_task(perform(self.ceso, job_id))
        self.workers.add(task)
        return os.getpid()

    def client(self, era: str, **rest: Any) -> Client:
        return Client(self.server, mode=era, read_timeout_seconds=60, cache=None, **rest)

    async def close(self) -> None:
        await asyncio.gather(*self.workers)
        for ceso in self.opened:
            await ceso.close()


@pytest.fixture
async def site(lab: Lab, tmp_path: Path) -> AsyncIterator[Site]:
    await asyncio.to_thread(lab.reset)
    site = Site(lab, tmp_path)
    yield site
    await site.close()


async def caller_of(client: Client) -> Caller:
    return Caller(client, {tool.name: tool.output_schema for tool in (await client.list_tools()).tools})


async def uris(client: Client) -> list[str]:
    return [str(resource.uri) for resource in (await client.list_resources()).resources]


async def read(client: Client, uri: str) -> dict[str, Any]:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, types.TextResourceContents)
    return dict(json.loads(content.text))


def touched(site: Site) -> bool:
    return any(entry.kind == "exec" for entry in site.lab.log())


@pytest.mark.parametrize("era", ERAS)
async def test_connecting_and_listing_touch_no_host(site: Site, era: str) -> None:
    async with site.client(era) as client:
        await client.list_tools()
        await client.list_prompts()
        assert await uris(client) == STATIC
        templates = (await client.list_resource_templates()).resource_templates
        assert [t.uri_template for t in templates] == ["ceso://vm/{vmid}", "ceso://backup/{+backup_id}"]
    assert not touched(site)


async def test_every_listed_resource_can_be_read(site: Site) -> None:
    async with site.client("legacy") as client:
        vms = await read(client, "ceso://vms")
        listed = await uris(client)
        assert listed[:4] == STATIC
        assert listed[4:] == [f"ceso://vm/{vm['vmid']}" for vm in vms["vms"]]
        for uri in listed:
            assert await read(client, uri)
        by_id = {vm["vmid"]: vm["name"] for vm in vms["vms"]}
        assert (await read(client, "ceso://vm/2"))["name"] == by_id[2]
        assert (await read(client, "ceso://host"))["version"].startswith("8.0")


@pytest.mark.parametrize(
    "uri",
    [
        "ceso://vm/99999",
        "ceso://vm/0",
        "ceso://vm/1/",
        "ceso://vm/..%2fhost",
        "ceso://vm/../host",
        "ceso://backup/../../etc/passwd",
        "ceso://backup/564dffff/20260101T000000Z-abcd",
        "ceso://nothing",
        "file:///etc/passwd",
        "CESO://HOST",
        "",
    ],
)
async def test_an_address_of_nothing_is_refused_and_named(site: Site, uri: str) -> None:
    async with site.client(ERAS[0]) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)
        assert caught.value.code == types.INVALID_PARAMS
        assert caught.value.data == {"uri": uri}


async def test_a_vm_from_dialog_to_resource_with_a_listening_client(site: Site) -> None:
    dialog = Dialog()
    events: list[Any] = []
    async with site.client(ERAS[0], elicitation_callback=dialog) as client:
        caller = await caller_of(client)
        await caller.ok("list_vms")
        async with client.listen(
            resources_list_changed=True, resource_subscriptions=["ceso://vms"]
        ) as stream:
            token = await caller.token("create_vm", name="web01", template=TEMPLATE, ssh_keys=[KEY])
            answer = await caller.ok("create_vm", confirm_token=token)
            assert answer["status"] == "done"
            with anyio.fail_after(10):
                async for event in stream:
                    events.append(event)
                    if {type(e) for e in events} == {ResourcesListChanged, ResourceUpdated}:
                        break
        assert "vmkfstools -i" in dialog.shown[0]
        assert ResourceUpdated(uri="ceso://vms") in events
        assert f"ceso://vm/{answer['result']['vmid']}" in await uris(client)
        assert (await read(client, f"ceso://vm/{answer['result']['vmid']}"))["name"] == "web01"
        assert (await read(client, "ceso://jobs"))["jobs"][0]["state"] == "done"


@pytest.mark.filterwarnings("ignore:resources/(un)?subscribe is removed")
async def test_a_legacy_subscriber_is_told_and_after_unsubscribing_no_more(site: Site) -> None:
    heard: list[str] = []
    told = anyio.Event()

    async def listen(message: Any) -> None:
        heard.append(message.method + " " + str(getattr(message.params, "uri", "")))
        if heard[-1] == "notifications/resources/updated ceso://vms":
            told.set()

    async with site.client("legacy", elicitation_callback=Dialog(), message_handler=listen) as client:
        caller = await caller_of(client)
        await client.session.subscribe_resource("ceso://vms")
        await client.session.subscribe_resource("ceso://host")
        await client.session.unsubscribe_resource("ceso://host")
        token = await caller.token("power_vm", vm="it's a test [old]", action="on")
        await caller.ok("power_vm", confirm_token=token)
        with anyio.fail_after(10):
            await told.wait()
        assert "notifications/resources/list_changed " in heard
        assert "notifications/resources/updated ceso://host" not in heard


async def test_names_seen_once_are_offered_again_without_the_host(site: Site) -> None:
    async with site.client(ERAS[0]) as client:
        caller = await caller_of(client)
        await caller.ok("discover")
        names = [vm["name"] for vm in (await caller.ok("list_vms"))["vms"]]
    site.again()
    before = len(site.lab.log())
    async with site.client(ERAS[0]) as client:
        assert [uri for uri in await uris(client) if "/vm/" in uri]
        prompt = types.PromptReference(name="nightly_backup")
        assert (await complete(client, prompt, "vm", "")) == sorted(names)
        assert (await complete(client, prompt, "vm", "UBUNTU")) == [TEMPLATE]
        assert (await complete(client, prompt, "vm", "zzz")) == []
        server = types.PromptReference(name="new_web_server")
        assert TEMPLATE in await complete(client, server, "template", "")
        assert (await complete(client, server, "vm_name", "")) == []
        vm = types.ResourceTemplateReference(uri="ceso://vm/{vmid}")
        assert "1" in await complete(client, vm, "vmid", "")
        with pytest.raises(MCPError):
            await complete(client, prompt, "nothing", "")
    assert len(site.lab.log()) == before
    state = site.config.state_dir
    assert state is not None
    assert (state / "mcp-known.json").stat().st_mode & 0o777 == 0o600


async def complete(client: Client, ref: Any, name: str, value: str) -> list[str]:
    found = await client.complete(ref, {"name": name, "value": value})
    assert len(found.completion.values) <= 100
    return list(found.completion.values)


async def test_resources_of_a_host_that_is_down_are_listed_and_reading_says_why(
    site: Site, tmp_path: Path
) -> None:
    host = site.config.host.model_copy(update={"port": 1, "connect_timeout_s": 2.0})
    ceso = Ceso(site.config.model_copy(update={"host": host, "state_dir": tmp_path / "other"}))
    async with Client(build_server(ceso), cache=None) as client:
        with anyio.fail_after(10):
            assert await uris(client) == STATIC
            with pytest.raises(MCPError) as caught:
                await client.read_resource("ceso://host")
            caller = await caller_of(client)
            code, _ = await caller.error("list_vms")
    assert caught.value.data["uri"] == "ceso://host"
    assert code == caught.value.data["code"]
    assert f"[{code}]" in caught.value.message
    await ceso.close()


async def test_a_backup_is_made_listed_verified_and_read(site: Site) -> None:
    async with site.client(ERAS[0], elicitation_callback=Dialog()) as client:
        caller = await caller_of(client)
        token = await caller.token("backup_vm", vm=TEMPLATE)
        answer = await caller.ok("backup_vm", confirm_token=token)
        while answer["status"] == "running":
            job = await caller.ok("job_status", job_id=answer["job_id"], wait_seconds=20)
            answer = {"status": job["state"], "result": job["result"]}
        backup_id = answer["result"]["backup_id"]
        assert f"ceso://backup/{backup_id}" in await uris(client)
        assert (await read(client, f"ceso://backup/{backup_id}"))["vm"] == TEMPLATE
        checked = await caller.ok("verify_backup", backup_id=backup_id)
        assert (checked["status"], checked["intact"], checked["damage"]) == ("done", True, [])
