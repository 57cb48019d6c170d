"""What a guest is told once: its user data and vendor data, made of what is asked for."""

from __future__ import annotations

from ceso_mcp.guest.cloudinit import cloud_config, cloud_config_text
from ceso_mcp.guest.machine_id import MACHINE_ID_WARNING, machine_id_vendor_data
from ceso_mcp.guest.multipart import multipart
from ceso_mcp.guest.own_data import OwnUserData, giving_way
from ceso_mcp.recipes.guest_fields import GuestFields


def documents(
    wish: GuestFields, host: str, own: OwnUserData | None
) -> tuple[str | None, str | None, list[str]]:
    """User data, vendor data and warnings; `own` is user data that the wish brings along."""
    # Vendor data's bootcmd does not count beside one of the user's, so ours goes where lists are joined.
    beside = wish.new_machine_id and own is not None and own.has_bootcmd
    config = cloud_config(
        hostname=host,
        user=wish.user,
        ssh_keys=wish.ssh_keys,
        users=wish.users,
        prefer_fqdn=wish.prefer_fqdn,
        timezone=wish.timezone,
        packages=wish.packages,
        run_commands=wish.run_commands,
        grow_root=wish.grow_root,
        new_machine_id=beside,
    )
    vendor = machine_id_vendor_data() if wish.new_machine_id and not beside else None
    warnings = [MACHINE_ID_WARNING] if wish.new_machine_id else []
    if not wish.sets_up() and not beside:
        return (own.text if own else None), vendor, warnings
    if own is None:
        return cloud_config_text(config), vendor, warnings
    if own.mapping is not None:
        lost = giving_way(own.mapping, config)
        if lost:
            warnings.append(f"In the user data, these give way to what is asked here: {', '.join(lost)}.")
    return multipart(cloud_config_text(config), own.text), vendor, warnings
