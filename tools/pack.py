"""`python -m tools.pack s3://bucket/prefix`: the jobs, the jars and a Python for EMR Serverless (docs/clusters.md).

The Python is one that may lie anywhere (astral's python-build-standalone, which uv fetches), with the project and the
packages it needs, in the versions of the lock. pyspark isn't among them: the service has its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from plumewatch import spark_runtime, storage
from plumewatch.settings import export_aws_settings

from tools.checkout import BIN, CACHE, CHECKOUT

PYTHON = "3.11"
ARCHIVE = "environment.tar.gz"
JARS = {"sedona.jar": "sedona-*.jar", "geotools.jar": "geotools-*.jar"}
"""What the service lacks; it reaches S3 by itself."""


def fetch_python(folder: Path) -> Path:
    """Return the folder of a Python that may be moved, fetched into `folder`."""
    _uv("python", "install", "--no-bin", "--install-dir", str(folder), PYTHON)
    return next(path for path in folder.iterdir() if (path / "bin" / "python3").exists() and not path.is_symlink())


def install(python: Path) -> None:
    """Install the project and what it needs into a Python."""
    program = str(python / "bin" / "python3")
    pinned = ["--constraints", str(CHECKOUT / "requirements.lock")]
    _uv("pip", "install", "--break-system-packages", "--python", program, *pinned, str(CHECKOUT))


def archive(python: Path, target: Path) -> None:
    """Write the archive that a job unpacks into the folder `environment` beside itself."""
    with tarfile.open(target, "w:gz", compresslevel=6) as packed:
        for part in sorted(python.iterdir()):
            packed.add(part, part.name, filter=lambda m: None if m.name.endswith(("__pycache__", ".a")) else m)


def upload(prefix: str, packed: Path) -> list[str]:
    """Put the archive, the jobs and the jars below a prefix, and return their names there."""
    jobs = sorted((CHECKOUT / "spark_jobs").glob("*.py"))
    names = {ARCHIVE: packed} | {f"spark_jobs/{job.name}": job for job in jobs}
    for name, pattern in JARS.items():
        [names[f"jars/{name}"]] = [jar for jar in spark_runtime.jars() if jar.match(pattern)]
    for name, file in names.items():
        print(f"{name}: {file.stat().st_size / 1e6:.1f} MB", flush=True)
        fs, inner = storage.filesystem(storage.join(prefix, name))
        fs.makedirs(inner.rpartition("/")[0], exist_ok=True)
        fs.put_file(str(file), inner)
    return sorted(names)


def _uv(*arguments: str) -> None:
    environment = {**os.environ, "UV_CACHE_DIR": str(CACHE / "uv")}
    environment.pop("VIRTUAL_ENV", None)
    subprocess.run([str(BIN / "uv"), *arguments], env=environment, check=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.pack", description=__doc__.split("\n\n")[0])
    parser.add_argument("prefix", help="s3://bucket/prefix, as in PLUMEWATCH_EMR_CODE")
    parser.add_argument("--python", type=Path, help="folder of a movable Python 3.11 (default: one is fetched)")
    arguments = parser.parse_args(argv)
    export_aws_settings()
    with TemporaryDirectory(prefix="plumewatch-pack-") as folder:
        python = Path(folder, "environment")
        shutil.copytree(arguments.python or fetch_python(Path(folder, "fetched")), python, symlinks=True)
        install(python)
        archive(python, Path(folder, ARCHIVE))
        upload(arguments.prefix, Path(folder, ARCHIVE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
