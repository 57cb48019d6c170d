"""The target of a configured place, with the login that goes with it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ceso_mcp.backup.places import AnyPlace, DatastorePlace, S3Place, SftpPlace
from ceso_mcp.config import HostSection, PlaceSection
from ceso_mcp.errors import ConfigFault, RepositoryFault
from ceso_mcp.home import expanded
from ceso_mcp.redact import Redactor
from ceso_mcp.repository.target import Target
from ceso_mcp.secrets import SecretRef, read_secret

VOLUMES = "/vmfs/volumes"


def open_target(
    place: AnyPlace, settings: PlaceSection, host: HostSection | None, redactor: Redactor
) -> Target:
    """The target at `place`; reaches for nothing before it is used.

    Raises ConfigFault for a login that is missing, RepositoryFault `no_obstore` where the library for
    S3 is not installed.
    """

    def secret(ref: SecretRef | None, name: str) -> str | None:
        if ref is None:
            return None
        found = read_secret(ref, name)
        redactor.learn(found.value)
        return found.value.decode()

    match place:
        case Path():
            from ceso_mcp.repository.targets.local import LocalTarget

            return LocalTarget(expanded(place))
        case SftpPlace():
            from ceso_mcp.repository.targets.sftp import SftpLogin, SftpTarget

            if settings.sftp is None:
                raise _no_login("sftp")
            own = settings.sftp
            return SftpTarget(
                SftpLogin(
                    title=place.title,
                    host=place.host,
                    port=place.port,
                    user=place.user,
                    host_keys=own.host_keys,
                    key_file=None if own.key_file is None else expanded(own.key_file),
                    password=lambda: secret(own.password, "password of the SFTP server"),
                    connect_timeout_s=own.connect_timeout_s,
                    patience_s=own.patience_s,
                    require_fsync=own.require_fsync,
                ),
                place.path,
            )
        case DatastorePlace():
            from ceso_mcp.repository.targets.sftp import SftpLogin, SftpTarget

            if host is None:
                raise _no_login("host")
            return SftpTarget(
                SftpLogin(
                    title=place.title,
                    host=host.address,
                    port=host.port,
                    user=host.user,
                    host_keys=host.host_keys,
                    key_file=None if host.key_file is None else expanded(host.key_file),
                    password=lambda: secret(host.password, "host password"),
                    connect_timeout_s=host.connect_timeout_s,
                    patience_s=host.patience_s,
                    require_fsync=True,
                ),
                f"{VOLUMES}/{place.datastore}/{place.folder}",
                volume=f"{VOLUMES}/{place.datastore}",
            )
        case S3Place():
            try:
                from ceso_mcp.repository.targets.s3 import S3Target
                from ceso_mcp.repository.targets.s3_client import s3_store
            except ImportError:
                raise RepositoryFault(
                    "the library for S3 is not installed",
                    code="no_obstore",
                    hint="install it with: pip install 'ceso-mcp[s3]'",
                ) from None
            if settings.s3 is None:
                raise _no_login("s3")
            client = partial(
                s3_store,
                bucket=place.bucket,
                prefix=place.prefix,
                endpoint=settings.s3.endpoint,
                region=settings.s3.region,
                access_key=secret(settings.s3.access_key, "S3 access key") or "",
                secret_key=secret(settings.s3.secret_key, "S3 secret key") or "",
                virtual_hosted=settings.s3.virtual_hosted,
            )
            return S3Target(
                client(patience_s=settings.s3.patience_s),
                place.title,
                conditional_put=settings.s3.conditional_put,
                first=client(patience_s=0),
            )


def _no_login(section: str) -> ConfigFault:
    return ConfigFault(f"there is no section {section} for this repository", code="config_invalid")
