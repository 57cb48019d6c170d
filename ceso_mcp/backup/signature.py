"""What is known of a manifest's signature, and what that allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator

from ceso_mcp.backup.sshsig import PublicKey, public_key
from ceso_mcp.errors import InvalidArguments, RepositoryFault


def _signer(line: str) -> str:
    try:
        return public_key(line).line
    except InvalidArguments as fault:
        raise ValueError(fault.message) from None


SignerLine = Annotated[str, AfterValidator(_signer)]
"""An SSH public key that may sign, without its comment."""

SignatureState = Literal["signed", "unchecked", "unknown_signer", "unsigned", "missing", "bad"]


@dataclass(frozen=True, slots=True)
class Signature:
    """`state` is:

    `signed`: right, and by a signer that the configuration trusts. `unchecked`: right, and no signers
    are configured. `unknown_signer`: by somebody else. `unsigned`: there is none, and the manifest
    speaks of none. `missing`: the manifest says that there is one, and there is not. `bad`: it is not
    a signature of this manifest; `reason` says why.

    `signer` is the fingerprint of the key that signed, "" where none can be told.
    """

    state: SignatureState
    signer: str = ""
    reason: str = ""

    def words(self) -> str:
        """For people."""
        match self.state:
            case "signed":
                return f"signed by {self.signer}"
            case "unchecked":
                return f"signed by {self.signer}, not checked: no signers are configured"
            case "unknown_signer":
                why = f" ({self.reason})" if self.reason else ""
                return f"signed by {self.signer}, who is none of the configured signers{why}"
            case "unsigned":
                return "not signed"
            case "missing":
                return "its signature is missing"
            case "bad":
                return f"its signature is bad: {self.reason}"


UNSIGNED = Signature("unsigned")


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures are accepted; with `required`, backups without one are not."""

    signers: tuple[PublicKey, ...] = field(default=())
    required: bool = False

    @classmethod
    def of(cls, lines: Sequence[str], *, required: bool = False) -> Trust:
        """From lines as in `.pub` files; raises InvalidArguments."""
        return cls(tuple(public_key(line) for line in lines), required)

    def accepts(self, signature: Signature) -> bool:
        """Whether a backup with this signature may be restored, and counts as a good one."""
        if signature.state == "bad":
            return False
        return signature.state == "signed" or not self.required

    def leans_on(self, signature: Signature) -> bool:
        """Whether a new backup may name what a backup with this signature names.

        Where signers are configured only one of theirs: the new one's signature answers for all of it.
        """
        return signature.state == "signed" or (signature.state != "bad" and not self.signers)

    def refusal(self, backup_id: str, signature: Signature) -> RepositoryFault | None:
        """Why this backup is not restored; None if it is."""
        if self.accepts(signature):
            return None
        if signature.state == "bad":
            return RepositoryFault(
                f"the signature of backup {backup_id} is bad: {signature.reason}",
                code="bad_signature",
                hint="somebody changed the backup after it was signed, or its storage is damaged; "
                "take another backup, or the same one from a copy of the repository",
            )
        said = "its signature is missing" if signature.state == "missing" else f"it is {signature.words()}"
        return RepositoryFault(
            f"backup {backup_id} is refused, because require_signature is set: {said}",
            code="not_signed" if signature.state in ("unsigned", "missing") else "unknown_signer",
            hint="if you know where the backup comes from, see `trusted_signers` and `require_signature` in "
            "the [backup] section of the configuration",
        )

    def warnings(self, signature: Signature) -> tuple[str, ...]:
        """What somebody who restores a backup that is accepted should know."""
        if signature.state == "signed" or (signature.state == "unsigned" and not self.signers):
            return ()
        if signature.state == "missing":
            return ("The signature of the backup is missing.",)
        return (f"The backup is {signature.words()}.",)
