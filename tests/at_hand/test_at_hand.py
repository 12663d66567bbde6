"""`python -m plumewatch`: files listed, brought out and in, tables described, on a folder and a real S3 server."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from plumewatch import storage
from plumewatch.__main__ import main
from plumewatch.tables import ANOMALIES, WIND

DAY = "2025-08-27"
CELL = {"scene_id": "S2A_x", "row": 1, "col": 2, "longitude": 5.9, "latitude": 31.6, "score": -0.5, "cluster": 0}


@pytest.fixture
def stored(root: str) -> str:
    """A storage root with a table of two partitions, one without a manifest, a map, and what is hidden."""
    for area, n in (("dune", 3), ("coast", 2)):
        rows = ANOMALIES.from_pylist([{**CELL, "col": col} for col in range(n)])
        storage.write_partition(ANOMALIES, storage.join(root, "anomalies"), {"area": area, "date": DAY}, rows)
    storage.delete(storage.join(root, f"anomalies/area=coast/date={DAY}/_manifest.json"))
    storage.write_bytes(storage.join(root, f"maps/ch4/{DAY}.html"), b"<html>")
    storage.write_bytes(storage.join(root, ".hand_offs/ch4/x"), b"")
    return root


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return code, out.getvalue(), err.getvalue()


def test_ls_gives_addresses_by_prefix_and_mask(stored: str) -> None:
    code, out, err = run("--root", stored, "ls", "--urls")
    assert code == 0 and out.splitlines() == [
        f"{stored}/anomalies/area=coast/date={DAY}/data.parquet",
        f"{stored}/anomalies/area=dune/date={DAY}/_manifest.json",
        f"{stored}/anomalies/area=dune/date={DAY}/data.parquet",
        f"{stored}/maps/ch4/{DAY}.html",
    ]
    assert err.startswith("4 files, ")
    assert run("--root", stored, "ls", "anomalies", "--match", "area=dune/*.parquet", "--urls")[1].split() == [
        f"{stored}/anomalies/area=dune/date={DAY}/data.parquet"
    ]
    assert run("ls", f"{stored}/maps", "--urls")[1].split() == [f"{stored}/maps/ch4/{DAY}.html"]
    [line] = run("--root", stored, "ls", "maps")[1].splitlines()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d +6 B  {stored}/maps/ch4/{DAY}.html", line)
    code, out, err = run("--root", stored, "ls", "mops")
    assert (code, out) == (1, "") and f"{stored}/mops: nothing there" in err


def test_https_addresses_are_the_servers_own(stored: str) -> None:
    [address] = run("--root", stored, "ls", "maps", "--https")[1].split()
    if stored.startswith("file://"):
        assert address == f"{stored}/maps/ch4/{DAY}.html"
        return
    assert address.startswith(os.environ["AWS_ENDPOINT_URL"]) and "?" not in address  # nothing is signed
    with pytest.raises(urllib.error.HTTPError, match="403"):  # the server knows the place, the bucket isn't public
        urllib.request.urlopen(address)


def test_get_brings_what_is_missing_and_leaves_what_is_there(stored: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    code, out, _ = run("--root", stored, "get", "anomalies", "--match", "*.parquet", "--to", str(here))
    assert code == 0 and out.startswith("2 files brought")
    brought = here / f"area=dune/date={DAY}/data.parquet"
    assert brought.read_bytes() == storage.read_bytes(f"{stored}/anomalies/area=dune/date={DAY}/data.parquet")
    os.utime(here / f"area=coast/date={DAY}/data.parquet", (0, 0))  # older than what is stored
    assert "1 files brought" in (
        again := run("--root", stored, "get", "anomalies", "--match", "*.parquet", "--to", str(here))[1]
    )
    assert "1 there already" in again
    assert [p for p in here.rglob("*") if p.name.startswith(".")] == []
    code, _, err = run("--root", stored, "get", "anomalies", "--match", "*.tif", "--to", str(here))
    assert code == 1 and "no file called *.tif" in err


def test_one_file_that_cannot_be_brought_is_told_and_the_others_are(stored: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / f"area=dune/date={DAY}/data.parquet").mkdir(parents=True)  # a folder where the file should be
    (here / f"area=dune/date={DAY}/data.parquet/x").touch()
    code, out, err = run("--root", stored, "get", "anomalies", "--match", "*.parquet", "--to", str(here))
    assert code == 3 and "1 files brought" in out and "1 not" in out
    assert f"not brought: {stored}/anomalies/area=dune/date={DAY}/data.parquet: " in err
    assert sorted(p.name for p in here.rglob("*") if p.is_file()) == ["data.parquet", "x"]


def test_a_key_that_leads_out_of_the_folder_is_not_followed(s3_root: str, tmp_path: Path) -> None:
    fs, inner = storage.filesystem(s3_root)
    fs.call_s3("put_object", Bucket=inner.split("/")[0], Key=f"{inner.split('/', 1)[1]}/x/good", Body=b"1")
    at = storage.stored_files(s3_root)[0].modified_at
    from plumewatch.at_hand import transfer

    for below in ("../../evil", f"/{tmp_path}/evil"):  # S3 itself keeps both as they are, unlike the server here
        way = transfer._Way(storage.StoredFile(f"{s3_root}/x/{below}", 1, at), str(tmp_path / "a" / below), below)
        came = transfer._bring([way], "get")
        assert came.brought == [] and "a name that leads out of its folder" in came.errors[0]


def test_put_brings_files_with_their_content_type(root: str, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for name in ("dune.geojson", "coast.gpkg", "a.nc4", "notes.txt", "odd.zzz"):
        (own / name).write_bytes(name.encode())
        os.utime(own / name, (time.time() - 10,) * 2)  # S3 tells whole seconds
    code, out, _ = run(
        "--root", root, "put", str(own), str(own / "dune.geojson"), "--to", "areas", "--match", "*.[gnz]*"
    )
    assert code == 0 and out.startswith("4 files brought")
    assert sorted(f.rsplit("/", 1)[-1] for f in storage.list_files(f"{root}/areas")) == [
        "a.nc4",
        "coast.gpkg",
        "dune.geojson",
        "odd.zzz",
    ]
    assert storage.read_bytes(f"{root}/areas/dune.geojson") == b"dune.geojson"
    if root.startswith("s3"):
        fs, inner = storage.filesystem(f"{root}/areas")
        kinds = {
            name: fs.info(f"{inner}/{name}")["ContentType"]
            for name in ("a.nc4", "coast.gpkg", "dune.geojson", "odd.zzz")
        }
        assert kinds == {
            "a.nc4": "application/x-netcdf", "coast.gpkg": "application/geopackage+sqlite3",
            "dune.geojson": "application/geo+json", "odd.zzz": "application/octet-stream",
        }  # fmt: skip
    assert (own / "dune.geojson").exists()
    (tmp_path / "dune.geojson").touch()
    code, _, err = run("--root", root, "put", str(own), str(tmp_path / "dune.geojson"), "--to", "areas")
    assert code == 1 and f"{tmp_path}/dune.geojson: the name of {own}/dune.geojson too" in err
    assert "0 files brought" in run("--root", root, "put", str(own), "--to", "areas", "--match", "*.[gnz]*")[1]


def test_put_writes_into_no_table(stored: str, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").touch()
    for where in ("anomalies/area=dune", "maps", f"{stored}/scenes"):
        code, _, err = run("--root", stored, "put", str(tmp_path / "x.parquet"), "--to", where)
        assert code == 1 and "which only jobs write" in err
    assert len(storage.list_files(stored)) == 5


def test_describe_counts_rows_by_manifests_and_files(stored: str) -> None:
    code, out, err = run("--root", stored, "describe")
    assert code == 0 and err == ""
    table, maps = (line.split() for line in out.splitlines()[1:])
    assert table[:5] == ["anomalies", "2", "5", DAY, DAY] and maps[0] == "maps" and maps[1] == "1"
    storage.write_bytes(f"{stored}/anomalies/area=dune/date={DAY}/_manifest.json", b"{")
    code, out, err = run("--root", stored, "describe")
    assert code == 3 and "area=dune" in err and out.splitlines()[1].split()[2] == "2"
    columns = run("--root", stored, "describe", "wind")[1]
    assert "wind: folders product=/date=" in columns and all(name in columns for name in WIND.schema.names)


def test_preview_reads_no_more_than_it_shows(stored: str) -> None:
    code, out, _ = run(
        "--root", stored, "preview", "anomalies", "area=dune", "--columns", "col,area", "--rows", "2", "--csv"
    )
    assert code == 0 and out.splitlines() == ["col,area", "0,dune", "1,dune"]
    storage.write_bytes(f"{stored}/anomalies/area=dune/date={DAY}/data.parquet", b"broken")
    assert run("--root", stored, "preview", "anomalies", "--rows", "2", "--columns", "area")[1].split() == [
        "area",
        "coast",
        "coast",
    ]
    code, _, err = run("--root", stored, "preview", "anomalies")
    assert code == 1 and "not readable as Parquet" in err
    for bad, told in (
        (["nothing"], "no table"),
        (["anomalies", "gas=ch4"], "no partition gas="),
        (["anomalies", "--columns", "x"], "no column x"),
    ):
        code, _, err = run("--root", stored, "preview", *bad)
        assert code == 1 and told in err


def test_bad_arguments_are_named(stored: str) -> None:
    for bad in (["preview", "anomalies", "dune"], ["preview", "anomalies", "--rows", "0"], ["get", "maps"], []):
        with pytest.raises(SystemExit) as ended, contextlib.redirect_stderr(io.StringIO()):
            main(["--root", stored, *bad])
        assert ended.value.code == 2
    code, _, err = run("--root", "gs://x", "ls")
    assert code == 1 and "'gs'" in err


def test_manifests_are_brought_too(stored: str, tmp_path: Path) -> None:
    run("--root", stored, "get", "anomalies/area=dune", "--to", str(tmp_path / "t"))
    assert json.loads((tmp_path / f"t/date={DAY}/_manifest.json").read_text())["rows"] == 3


def test_put_takes_files_of_folders_above_and_no_way_round_to_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "maps"  # called as a folder that jobs write
    for path in ("dune.geojson", "own/plumes/method=x/data.parquet", "at/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"{}")
    (root / "areas").mkdir(parents=True)
    (root / "aside").symlink_to(root / "scenes")
    monkeypatch.chdir(tmp_path / "at")
    assert run("--root", str(root), "put", "../dune.geojson", "--to", "areas")[0] == 0
    assert run("--root", str(root), "put", "../dune.geojson", "--to", ".")[0] == 0
    for file, where in (("../own", "."), ("../dune.geojson", "areas/../scenes"), ("../dune.geojson", "aside")):
        code, _, err = run("--root", str(root), "put", file, "--to", where)
        assert code == 1 and "which only jobs write" in err
    assert sorted(p.name for p in root.rglob("*") if p.is_file()) == ["dune.geojson"] * 2


def test_a_folder_that_may_not_be_read_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory() as root:  # a folder that somebody else may enter
        Path(root).chmod(0o755)
        (closed := Path(root, "closed")).mkdir(0o000)
        Path(root, "a.txt").touch()
        somebody = os.geteuid()
        try:
            if somebody == 0:
                os.seteuid(65534)  # nobody
            assert run("ls", root, "--urls")[1].split() == [f"{root}/a.txt"]
        finally:
            os.seteuid(somebody)
        assert f"not read: {closed}: not to be listed (Permission denied)" in caplog.text
