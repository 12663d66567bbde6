"""The DAGs in an Airflow that isn't ours: laid out as Astronomer's projects are, beside a bundle of somebody else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TO_COPY = ("dags", "plugins", "include", "spark_jobs")
HEAVY = {
    "pyspark", "sedona", "pandas", "geopandas", "rasterio", "scipy", "sklearn", "matplotlib", "h5py", "netCDF4", "zarr",
    "sentinelhub", "pystac", "pystac_client", "planetary_computer", "rustac", "s3fs", "aiobotocore",
}  # fmt: skip
FEW_MODULES = 40  # that a DAG file loads beyond the first one's: 16 at most as this is written
THEIRS = """
from airflow.sdk import dag, task
from include.shared import NAME
from include.plumes import COUNT


@dag(dag_id=NAME)
def theirs():
    @task
    def count():
        return COUNT

    count()


theirs()
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What parse_elsewhere.py prints, of a project folder as Astronomer lays it out, and somebody else's beside it."""
    home, other = tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("theirs")
    for folder in TO_COPY:
        shutil.copytree(CHECKOUT / folder, home / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in {
        "dags/redetect.py": THEIRS,  # called as one of ours is
        "include/__init__.py": "",
        "include/shared.py": "NAME = 'their_dag'\n",
        "include/plumes.py": "COUNT = 3\n",
    }.items():
        (other / name).parent.mkdir(exist_ok=True)
        (other / name).write_text(text)
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [
        {"name": name, "classpath": local, "kwargs": {"path": str(path)}}
        for name, path in (("theirs", other), ("plumewatch", home / "dags"))
    ]
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("AIRFLOW", "PLUMEWATCH", "AWS", "PYTHON"))}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "PYTHONPATH": f"{home}/include:{home}",  # the second is Astronomer's own, the first the line to add
        "PLUMEWATCH_STORAGE_ROOT": "s3://a-bucket/that-nobody-asks",
    }
    command = [sys.executable, str(Path(__file__).with_name("parse_elsewhere.py"))]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1]) | {"home": str(home)}


def test_a_project_folder_of_astronomer_loads_with_one_line_more(found: dict[str, Any]) -> None:
    assert found["library"] == f"{found['home']}/include/plumewatch/__init__.py"
    assert set(found["seconds"]) == {path.stem for path in (CHECKOUT / "dags").glob("*.py")}


def test_bundles_with_folders_of_the_same_names_load_side_by_side(found: dict[str, Any]) -> None:
    theirs, ours = found["bundles"]["theirs"], found["bundles"]["plumewatch"]
    assert theirs["errors"] == ours["errors"] == {}
    assert theirs["dags"] == ["their_dag"]
    assert ours["dags"] == sorted(found["seconds"])


def test_parsing_reaches_no_network_and_no_file_beyond_the_bundle(found: dict[str, Any]) -> None:
    assert found["reached"] == []


def test_parsing_loads_nothing_that_only_tasks_need(found: dict[str, Any]) -> None:
    """Prints the seconds of each file; numpy and pyarrow come with the schemas of the tables."""
    print({name: round(seconds, 3) for name, seconds in found["seconds"].items()})
    assert HEAVY & set(found["loaded"]) == set()
    _, *others = found["modules"].values()
    assert len(others) > 5 and max(others) <= FEW_MODULES


def test_dags_load_from_a_bucket_and_follow_it(s3_root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The amazon provider's bundle against a real S3 server: what lies there is loaded, what goes from there goes."""
    import fsspec
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.providers.amazon.aws.bundles.s3 import S3DagBundle

    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")  # keys and address by AWS_*, as anywhere
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path))
    files = sorted((CHECKOUT / "dags").glob("*.py"))
    bucket = fsspec.filesystem("s3", skip_instance_cache=True)
    bucket.put([str(file) for file in files], [f"{s3_root}/dags/{file.name}" for file in files])
    name, prefix = s3_root.removeprefix("s3://").split("/")
    bundle = S3DagBundle(name="plumewatch", bucket_name=name, prefix=f"{prefix}/dags")
    bundle.initialize()
    bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    assert bag.import_errors == {}
    assert sorted(bag.dags) == [file.stem for file in files]
    bucket.rm(f"{s3_root}/dags/{files[0].name}")
    bundle.refresh()
    assert sorted(bundle.path.glob("*.py")) == [bundle.path / file.name for file in files[1:]]
