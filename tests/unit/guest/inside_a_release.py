"""Runs inside a release's tree, with its Python: reads many documents as its cloud-init and netplan do.

`cases.json` maps names to documents; `results.json` gets what came out. One process, because starting
cloud-init takes longer than its work.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

from cloudinit import handlers, helpers, user_data, util, version
from cloudinit.cmd.main import main
from cloudinit.handlers.cloud_config import CloudConfigPartHandler

# What `netplan generate` calls, without its Python around it: that looks for libraries with ldconfig. From
# netplan 1.2 on, which has a second program beside it, it cannot be called like that.
GENERATORS = ("/usr/libexec/netplan/generate", "/usr/lib/netplan/generate", "/lib/netplan/generate")
GENERATE = [next(path for path in GENERATORS if os.path.exists(path))]
if os.path.exists("/usr/libexec/netplan/configure"):
    GENERATE = ["netplan", "generate"]


def cloud_init(*words):
    """The command line's own code; (status, output)."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(["cloud-init", *words])
    except SystemExit as ended:
        code = ended.code
    return code or 0, said.getvalue()


def schema(path, kind):
    words = ["schema", "-c", path] + (["-t", "network-config"] if kind == "network" else [])
    code, said = cloud_init(*words)
    if "invalid choice: 'schema'" in said:  # 22.1 had it elsewhere
        code, said = cloud_init("devel", *words)
    if kind == "network" and ("unrecognized arguments" in said or "Skipping network-config schema" in said):
        return None
    return [code, said]


class Paths(helpers.Paths):
    def get_ipath(self, name=None):
        return "/case/merged"


def merged(text):
    """The one configuration that user data's parts come to."""
    paths = Paths({"cloud_dir": "/case/cloud", "run_dir": "/case/cloud"})
    message = user_data.UserDataProcessor(paths).process(text.encode())
    handler = CloudConfigPartHandler(paths)
    handler.handle_part(None, handlers.CONTENT_START, None, None, None, None)
    for part in message.walk():
        if part.get_content_type() == "text/cloud-config":
            body = part.get_payload(decode=True).decode("utf-8")
            handler.handle_part(None, part.get_content_type(), part.get_filename(), body, None, dict(part))
    handler.handle_part(None, handlers.CONTENT_END, None, None, None, None)
    return util.load_yaml(Path("/case/merged").read_text("utf-8"), allowed=(dict, list, str))


def network(text, macs):
    shutil.rmtree("root", ignore_errors=True)
    Path("network.json").write_text(text, "utf-8")
    known = [word for n, mac in enumerate(macs) for word in ("-m", f"unused{n},{mac}")]
    code, said = cloud_init(
        "devel",
        "net-convert",
        "-p",
        "network.json",
        "-k",
        "yaml",
        "-d",
        "root",
        "-D",
        "ubuntu",
        "-O",
        "netplan",
        *known,
    )
    found = {"schema": schema("network.json", "network"), "convert": [code, said], "units": {}}
    plans = list(Path("root/etc/netplan").glob("*.yaml")) if Path("root/etc/netplan").is_dir() else []
    if len(plans) != 1:
        return found
    plans[0].chmod(0o600)
    found["plan"] = util.load_yaml(plans[0].read_text("utf-8"))
    made = subprocess.run(
        [*GENERATE, "--root-dir", "/case/root"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    found["generate"] = [made.returncode, made.stdout.decode("utf-8", "replace")]
    for unit in Path("root/run/systemd/network").glob("*"):
        found["units"][unit.name] = unit.read_text("utf-8")
    return found


def looked_at(case):
    found = {}
    for kind in ("userdata", "vendordata"):
        text = case.get(kind)
        if text is None:
            continue
        found[kind] = {"config": merged(text)}
        if text.startswith("#cloud-config\n"):
            Path("document.yaml").write_text(text, "utf-8")
            found[kind]["schema"] = schema("document.yaml", kind)
            found[kind]["read"] = util.load_yaml(text)
    if case.get("network"):
        found["network"] = network(case["network"], case["macs"])
    return found


os.chdir("/case")
cases = json.loads(Path("cases.json").read_text("utf-8"))
results = {name: looked_at(case) for name, case in cases.items()}
Path("results.json").write_text(
    json.dumps({"version": version.version_string(), "results": results}), "utf-8"
)
