"""A keyring of gpg that is thrown away, with keys of every kind that matters."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSPHRASE = "an old bicycle"


class Gpg:
    """gpg in a home of its own. The path is short: an agent's socket has to fit in it."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str, content: str | None = None) -> str:
        done = subprocess.run(
            ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", *arguments],
            env={**os.environ, "GNUPGHOME": str(self.home)},
            input=content,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        return done.stdout

    def prints(self, name: str) -> list[str]:
        """The fingerprints of a key: the whole one's, then those of its parts."""
        rows = [line.split(":") for line in self("--with-colons", "--list-keys", name).splitlines()]
        return [row[9] for row in rows if row[0] == "fpr"]

    def key(self, name: str, *options: str, passphrase: str = "", kind: str = "default") -> str:
        """A new key for encryption, as a recipient."""
        algorithm = "future-default" if kind == "default" else "ed25519"
        arguments = ["--passphrase", passphrase, *options, "--quick-generate-key", name, algorithm, kind]
        self(*arguments, "1d" if options else "never")
        return f"openpgp:{self.prints(name)[0]}"


@contextmanager
def throwaway_gpg() -> Iterator[Gpg]:
    home = Path(tempfile.mkdtemp(prefix="ceso-gpg-"))
    try:
        yield Gpg(home)
    finally:
        env = {**os.environ, "GNUPGHOME": str(home)}
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=env, check=False, timeout=30)
        shutil.rmtree(home, ignore_errors=True)
