"""User data of the caller's own on its way to a plan: read, checked, and refused where it is no good."""

from __future__ import annotations

from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.user_data import UserDataFile
from ceso_mcp.guest.own_data import OwnUserData, looks_secret, own_user_data
from ceso_mcp.recipes.guest_setup import GuestFields

_USE_A_FILE = "put it into a file that only you can read, and give its path as user_data_file"


async def read_own_data(facts: Facts, wish: GuestFields) -> tuple[OwnUserData | None, list[str]]:
    """The user data that `wish` brings along, if any, and warnings about it.

    Raises Refused: `user_data_invalid`, `user_data_secret`, `secret_in_commands`, and what reading the file
    refuses. Comes before any question to the host.
    """
    if any(looks_secret(command) for command in wish.run_commands):
        raise Refused(
            "one of run_commands looks as if it held a secret; commands are shown, stored and logged",
            code="secret_in_commands",
            hint="write a script that begins with #!/bin/sh into a file that only you can read, and give its "
            "path as user_data_file",
        )
    if wish.user_data is not None:
        try:
            own = own_user_data(wish.user_data)
        except ValueError as error:
            raise _invalid("user_data", error) from None
        if looks_secret(own.text, own.mapping):
            raise Refused(
                "user_data looks as if it held a secret; it would be shown, stored and logged",
                code="user_data_secret",
                hint=_USE_A_FILE,
            )
        return own, []
    if wish.user_data_file is None:
        return None, []
    file = await facts.read(UserDataFile(wish.user_data_file))
    try:
        text = file.content.value.decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid(file.path, ValueError("it is not text in UTF-8")) from None
    try:
        own = own_user_data(text, file.content.name)
    except ValueError as error:
        raise _invalid(file.path, error) from None
    warnings = [
        "Programs in the guest can read the user data until cloud-init takes it out of the VM's "
        "configuration at its first boot; until then it is in the .vmx. Backups are made without it."
    ]
    if file.readable_by_others:
        warnings.append(f"Other users of this machine can read {file.path}.")
    return own, warnings


def _invalid(what: str, error: ValueError) -> Refused:
    return Refused(
        f"{what} is no user data that cloud-init takes: {error}",
        code="user_data_invalid",
        hint="see https://cloudinit.readthedocs.io/en/latest/explanation/format.html",
    )
