"""What Spark needs on the machine: Java, jars, and an archive of loaded classes that shortens every start.

`python -m plumewatch.spark_runtime` prepares all of it in the checkout's `.cache/` and says what it does.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from plumewatch.constants import CHECKOUT
from plumewatch.errors import ConfigurationError
from plumewatch.reference.loading import read_reference

CACHE = CHECKOUT / ".cache"
JAVA_VERSIONS = (17, 21)  # Spark 4.0 runs on these (its documentation)
FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Jobs are short: no time for the second compiler to pay off."""

log = logging.getLogger(__name__)


def spark_home() -> Path:
    """Return the folder of the installed pyspark, which is a whole Spark."""
    import pyspark

    return Path(pyspark.__file__).parent


def find_java() -> Path | None:
    """Return a `java` of an allowed version: of JAVA_HOME, on the PATH, or unpacked in the checkout's cache."""
    candidates = [Path(os.environ["JAVA_HOME"]) / "bin" / "java"] if os.environ.get("JAVA_HOME") else []
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    candidates += sorted((CACHE / "java").glob("**/bin/java"))
    return next((java for java in candidates if java.exists() and java_version(java) in JAVA_VERSIONS), None)


def java_version(java: Path) -> int | None:
    """Return the feature version of a `java`, None where it doesn't run."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    except OSError:
        return None
    match = re.search(r'version "(\d+)', answer)
    return int(match[1]) if match else None


def require_java() -> Path:
    """Return a usable `java`; ConfigurationError says what to install where there is none."""
    if java := find_java():
        return java
    raise ConfigurationError(
        f"no Java found; allowed: Java {' or '.join(map(str, JAVA_VERSIONS))} on the PATH or by JAVA_HOME"
    )


def jars() -> list[Path]:
    """Return the jars beside Spark's own, sorted; they are resolved by coordinates on first use."""
    folder = jars_folder()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # Ivy's cache is for one process at a time
            if not folder.is_dir():
                _resolve_jars(folder)
    return sorted(folder.glob("*.jar"))


def jars_folder() -> Path:
    """Return the folder of the jars that this version needs; before the first use it doesn't exist."""
    return CACHE / "spark" / f"jars-{_digest(_ivy_text().encode())}"


def _ivy_text() -> str:
    """What Ivy resolves, with Sedona's jar in the version of its package."""
    return read_reference("spark_jars.xml").replace("@sedona@", metadata.version("apache-sedona"))


def _resolve_jars(folder: Path) -> None:
    log.info("resolving the jars of Sedona and s3a (109 MB, once)")
    ivy = next((spark_home() / "jars").glob("ivy-*.jar"))
    aside = folder.with_name(f"{folder.name}.{os.getpid()}")
    ivy_file = folder.with_name(f"{aside.name}.xml")
    ivy_file.write_text(_ivy_text(), encoding="utf-8")
    command = [
        str(require_java()), "-jar", str(ivy), "-warn", "-cache", str(CACHE / "ivy"), "-ivy", str(ivy_file),
        "-types", "jar", "-retrieve", f"{aside}/[artifact]-[revision].[ext]",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ivy_file.unlink()
    if done.returncode or not any(aside.glob("*.jar")):
        shutil.rmtree(aside, ignore_errors=True)
        said = [line.strip(" \t:") for line in (done.stdout + done.stderr).splitlines()]
        problem = "; ".join([line for line in said if line][-8:])
        raise ConfigurationError(f"the jars could not be resolved from Maven's central repository: {problem}")
    aside.replace(folder)


def class_path() -> str:
    """Return the jars as a class path, Spark's slf4j first: GeoTools has an old one that would silence its log."""
    slf4j = sorted((spark_home() / "jars").glob("*slf4j*.jar"))
    return ":".join(map(str, [*slf4j, *jars()]))


def class_archive() -> Path:
    """Return the file of the class-data archive that fits this Java, Spark and set of jars; it may not exist yet."""
    java = require_java()
    parts = [str(java.resolve()), str(java_version(java)), metadata.version("pyspark"), class_path(), *FAST_START]
    return CACHE / "spark" / f"classes-{_digest('|'.join(parts).encode())}.jsa"


def java_options() -> str:
    """Return the JVM options of a short job; with the class archive where it was built."""
    options, archive = [*FAST_START], class_archive()
    if archive.exists():
        options += [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    return " ".join(options)


def prepare() -> None:
    """Resolve the jars and build the class archive, where they aren't there yet."""
    log.info("Java %s: %s", java_version(require_java()), require_java())
    jars()
    archive = class_archive()
    if archive.exists():
        return
    log.info("building the archive of Spark's classes (once)")
    archive.parent.mkdir(parents=True, exist_ok=True)
    aside = archive.with_suffix(f".{os.getpid()}")
    environment = {**os.environ, "PLUMEWATCH_SPARK": "local[2]"}
    command = [sys.executable, "-m", "plumewatch.spark_session", "warm-up", str(aside)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not aside.exists():
        raise ConfigurationError("Spark did not start:\n" + done.stderr[-4000:])
    aside.replace(archive)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        prepare()
    except ConfigurationError as error:
        sys.exit(str(error))
