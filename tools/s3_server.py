"""A local S3 server, versitygw: found on the PATH, or built by `go install` into `.cache/bin`."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.checkout import CACHE, kept_secrets
from tools.supervisor import Service

VERSION = "v1.8.0"
PACKAGE = f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"
BINARY = CACHE / "bin" / "versitygw"
_STAMP = BINARY.with_suffix(".version")
BUCKET = "plumewatch"
REGION = "us-east-1"
S3_PORT = 7070
"""Else whatever is free."""
HEALTH = "/_health"


class S3ServerMissing(Exception):
    """No versitygw and no way to build it; the message says what to install."""


def find_versitygw() -> Path:
    """Return the program: of the PATH, built earlier, or built now. Raises S3ServerMissing."""
    if program := present_versitygw():
        return program
    _build()
    _STAMP.write_text(VERSION)
    return BINARY


def present_versitygw() -> Path | None:
    """Return the program where it is here already: of the PATH, or built earlier."""
    if program := shutil.which("versitygw"):
        return Path(program)
    is_built = BINARY.exists() and _STAMP.exists() and _STAMP.read_text().strip() == VERSION
    return BINARY if is_built else None


def _build() -> None:
    if not shutil.which("go"):
        raise S3ServerMissing(
            f"STORAGE=s3 needs the S3 server versitygw {VERSION[1:]}: put its program on the PATH, "
            "or install Go 1.25 or newer and it is built here."
        )
    print(f"Building versitygw {VERSION[1:]}, once: two to six minutes ...", file=sys.stderr, flush=True)
    folder = CACHE / "go"
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    command = ["go", "install", PACKAGE]
    run = subprocess.run(command, env=_go_environment(folder), capture_output=True, text=True, check=False)
    if run.returncode:
        raise S3ServerMissing(f"`go install {PACKAGE}` failed: {run.stderr.strip().splitlines()[-1]}")
    shutil.rmtree(folder)  # 800 MB of sources and objects that nobody needs again


def _go_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which Go writes below `folder` only, its telemetry included."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    (folder / "home").mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "GOENV": os.environ.get("GOENV") or str(home / "go" / "env"),  # the user's own proxy settings stay in force
        "HOME": str(folder / "home"),
        "XDG_CONFIG_HOME": str(folder / "home"),
        "GOPATH": str(folder / "path"),
        "GOMODCACHE": str(folder / "modules"),
        "GOCACHE": str(folder / "objects"),
        "GOBIN": str(BINARY.parent),
        "GOFLAGS": "-modcacherw",
        "CGO_ENABLED": "0",
    }


class S3Server:
    """The server over one folder, with credentials of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        """`folder` holds the buckets, one folder each; it must lie on a file system with extended attributes."""
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        new = {"access_key": secrets.token_hex(8), "secret_key": secrets.token_urlsafe(24)}
        self._credentials = kept_secrets(folder.with_name(f"{folder.name}-credentials.json"), new)

    def service(self) -> Service:
        """Return the server's process."""
        (self.folder / BUCKET).mkdir(parents=True, exist_ok=True)
        command = [
            str(find_versitygw()), "--quiet", "--port", f"127.0.0.1:{self._port}", "--region", REGION,
            "--health", HEALTH, "posix", str(self.folder),
        ]  # fmt: skip
        keys = {"ROOT_ACCESS_KEY": self._credentials["access_key"], "ROOT_SECRET_KEY": self._credentials["secret_key"]}
        return Service("s3-server", command, {**os.environ, **keys})

    def client_environment(self) -> Mapping[str, str]:
        """Return the usual AWS variables for this server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self._credentials["access_key"],
            "AWS_SECRET_ACCESS_KEY": self._credentials["secret_key"],
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    @property
    def health_url(self) -> str:
        """Where the server answers once it is up."""
        return self.url + HEALTH


def main() -> None:
    """Build the server where it isn't there yet; where it can't be built, say so and go on: its tests are skipped."""
    try:
        find_versitygw()
    except S3ServerMissing as error:
        print(f"{error} The tests on S3 are skipped.", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
