"""What an S3 client says went wrong, as a RepositoryFault that tells what to do.

The library has few kinds of errors; the server's own code stands in the text.
"""

from __future__ import annotations

import re

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from ceso_mcp.errors import RepositoryFault

_CODE = re.compile(r"<Code>\s*([A-Za-z0-9]+)\s*</Code>")
_LOGIN = {
    "SignatureDoesNotMatch", "InvalidAccessKeyId", "AuthorizationHeaderMalformed", "ExpiredToken",
    "InvalidToken", "InvalidSecurity", "RequestTimeTooSkewed", "TokenRefreshRequired", "AccountProblem",
}  # fmt: skip
_FULL = {
    "QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "InsufficientCapacity", "TooManyObjects",
}  # fmt: skip
_GONE_TEXTS = (
    "error sending request", "connection refused", "connection reset", "connection closed", "dns error",
    "timed out", "operation timed out", "503 Service Unavailable", "502 Bad Gateway",
)  # fmt: skip


def tells_nothing(error: BaseException) -> bool:
    """Whether this is a refusal without the server's code, as to a HEAD request."""
    return isinstance(error, PermissionDeniedError) and _CODE.search(str(error)) is None


def fault_of_s3(error: BaseException, title: str, what: str) -> RepositoryFault:
    """The fault of the repository `title` while it dealt with `what`.

    Codes: `no_such_object`, `repository_gone`, `repository_login`, `repository_full`,
    `repository_read_only`, else `repository`.
    """
    text = str(error).partition("\n\nDebug source")[0]
    match = _CODE.search(text)
    code = match[1] if match else ""
    lower = text.lower()
    if code == "NoSuchBucket":
        return RepositoryFault(
            f"the bucket of the repository {title} is not there",
            code="repository_gone",
            hint="make the bucket, or see the name in the configuration",
        )
    if isinstance(error, FileNotFoundError):
        return RepositoryFault(f"{what} is not in the repository {title}", code="no_such_object")
    if code in _LOGIN or isinstance(error, UnauthenticatedError):
        return RepositoryFault(
            f"the repository {title} refused the access key ({code or 'not authenticated'})",
            code="repository_login",
            hint="see access_key, secret_key and region in the configuration, and this machine's clock",
        )
    if code in _FULL or "507 insufficient storage" in lower or "no space left" in lower:
        return RepositoryFault(
            f"there is no room left in the repository {title} for {what}",
            code="repository_full",
            hint="free some space there, or use another repository",
        )
    if isinstance(error, PermissionDeniedError) or code in ("AccessDenied", "MethodNotAllowed"):
        return RepositoryFault(
            f"{what} cannot be written, or not be read, in {title}: {code or 'access denied'}",
            code="repository_read_only",
            hint="see what this access key may do in the bucket",
        )
    if any(sign.lower() in lower for sign in _GONE_TEXTS):
        return RepositoryFault(
            f"the server of the repository {title} is not there",
            code="repository_gone",
            hint="see whether the endpoint in the configuration is right and can be reached",
        )
    reason = code or text.partition("\n")[0][:200] or "no reason given"
    return RepositoryFault(
        f"the repository {title} failed on {what}: {reason}",
        hint="see what the store's own log says",
    )
