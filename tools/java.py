"""Java for Spark: the machine's own, else Debian's package unpacked into `.cache/java`, else by PyPI's install-jdk.

`python -m tools.java` prints the home of the Java it found or fetched.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import warnings
from pathlib import Path

from plumewatch import spark_runtime

from tools.checkout import CACHE

DEBIAN_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless")
INSTALL_JDK = "install-jdk==1.1.0"
FOLDER = CACHE / "java"  # plumewatch.spark_runtime looks here too


class JavaNotFound(Exception):
    """No suitable Java, and no way here to get one; the message says in one line what to install."""


class AttemptFailed(Exception):
    """One way of getting Java didn't work; the message says why."""


def find_java() -> Path:
    """Return the home of a suitable Java; where the machine has none, fetch one into the checkout.

    Raises JavaNotFound.
    """
    if home := present_java():
        return home
    reasons = []
    for fetch in (unpack_debian_package, fetch_by_install_jdk):
        try:
            fetch()
        except (AttemptFailed, OSError) as error:
            reasons.append(str(error))
            continue
        if home := present_java():
            return home
        reasons.append(f"what {fetch.__name__} brought doesn't run")
    raise JavaNotFound(
        f"Spark needs Java 17 or 21: install openjdk-17-jre-headless (Debian, Ubuntu), temurin@17 (Homebrew), or set "
        f"JAVA_HOME. Tried: {'; '.join(reasons)}."
    )


def present_java() -> Path | None:
    """Return the home of a suitable Java that is here already."""
    java = spark_runtime.find_java()
    return java.resolve().parents[1] if java else None


def unpack_debian_package() -> None:
    """Download Debian's or Ubuntu's package as any user and unpack it; nothing is installed or configured."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise AttemptFailed("this is no Debian or Ubuntu")
    folder = FOLDER / "debian"
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    # First by the machine's own package lists; if there are none or they are old, by lists of our own.
    for has_own_lists in (False, True):
        options = _own_apt_folders() if has_own_lists else ()
        if has_own_lists:
            _say("Reading the package lists ...")
            _output("apt-get", *options, "update", cwd=folder)
        for package in DEBIAN_PACKAGES:
            try:
                _say(f"Downloading {package} (about 45 MB) into .cache/java ...")
                _output("apt-get", *options, "download", package, cwd=folder)
                _unpack(next(folder.glob(f"{package}_*.deb")))
            except AttemptFailed as error:
                reasons.append(str(error))
            else:
                return
    raise AttemptFailed(reasons[-1])


def _own_apt_folders() -> tuple[str, ...]:
    """Options that let apt-get read package lists without root."""
    folders = {"Dir::State::lists": FOLDER / "apt" / "lists", "Dir::Cache": FOLDER / "apt" / "cache"}
    for folder in folders.values():
        (folder / "partial").mkdir(parents=True, exist_ok=True)
        (folder / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    return tuple(part for name, folder in folders.items() for part in ("-o", f"{name}={folder}"))


def _unpack(package: Path) -> None:
    root = package.with_suffix("")
    shutil.rmtree(root, ignore_errors=True)
    _output("dpkg", "-x", str(package), str(root))
    package.unlink()
    home = next(path for path in (root / "usr" / "lib" / "jvm").iterdir() if path.is_dir() and not path.is_symlink())
    _turn_links_inwards(root)
    _write_trust_store(home / "lib" / "security" / "cacerts")


def _turn_links_inwards(root: Path) -> None:
    """Let links to /etc/java-17-openjdk/... point at the unpacked copy."""
    for path in root.rglob("*"):
        if path.is_symlink() and path.readlink().is_absolute():
            inside = root / path.readlink().relative_to("/")
            if inside.exists():
                path.unlink()
                path.symlink_to(os.path.relpath(inside, path.parent))


def _write_trust_store(path: Path) -> None:
    """Write the machine's certificate authorities in Java's form, as the package's installation would have done."""
    from cryptography import x509  # slow to import, and needed once
    from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

    bundle = ssl.get_default_verify_paths().cafile
    if bundle is None:
        raise AttemptFailed("no certificate authorities found for the unpacked Java")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old authorities break newer rules on serial numbers
        certificates = x509.load_pem_x509_certificates(Path(bundle).read_bytes())
    entries = [pkcs12.PKCS12Certificate(each, f"authority-{i}".encode()) for i, each in enumerate(certificates)]
    path.unlink(missing_ok=True)
    path.write_bytes(pkcs12.serialize_java_truststore(entries, NoEncryption()))


def fetch_by_install_jdk() -> None:
    """Fetch a Java by the PyPI package install-jdk, from a throwaway virtual environment."""
    environment = FOLDER / "install-jdk"
    python = environment / "bin" / "python"
    _say("Fetching Java 17 by the package install-jdk ...")
    try:
        _output(sys.executable, "-m", "venv", str(environment))
        _output(str(python), "-m", "pip", "install", "--quiet", "--cache-dir", str(CACHE / "pip"), INSTALL_JDK)
        _output(str(python), "-c", "import jdk, sys; jdk.install('17', jre=True, path=sys.argv[1])", str(FOLDER))
    finally:
        shutil.rmtree(environment, ignore_errors=True)


def _output(*command: str, cwd: Path | None = None) -> str:
    run = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if run.returncode:
        lines = [line for line in run.stderr.strip().splitlines() if not line.startswith("W:")] or ["no message"]
        raise AttemptFailed(f"{Path(command[0]).name}: {lines[-1].strip()}")
    return run.stdout


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        print(find_java())
    except JavaNotFound as not_found:
        sys.exit(str(not_found))
