"""Wind files of every layout, and the copy of what lies around areas into the storage."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plumewatch import storage
from plumewatch.errors import ConfigurationError, InputError
from plumewatch.models import FailedScene
from plumewatch.settings import Settings
from plumewatch.tables import WIND
from plumewatch.wind.at_point import winds_at
from plumewatch.wind.files import copy_wind, read_wind_files
from plumewatch.wind.kept_files import KeptFiles
from plumewatch.wind.product import requests_at, requests_of_day
from plumewatch.wind.providers import fetch_wind as fetch_wind_of_setting

DAY = datetime(2025, 8, 31, tzinfo=UTC)
OMAN, PERMIAN = (56.0, 22.0, 56.1, 22.1), (-103.2, 31.5, -103.1, 31.6)


def hourly(start: datetime, hours: int, u: float = 1.0) -> pa.Table:
    """A world of 5 x 5 degrees, each hour, with u = `u`."""
    lon, lat = (a.ravel() for a in np.meshgrid(np.arange(-180.0, 180, 0.5), np.arange(20.0, 34, 0.5)))
    time = np.repeat(np.array([start + timedelta(hours=h) for h in range(hours)]), len(lon))
    n = len(time)
    return WIND.from_columns(
        {
            "observed_at_utc": time,
            "longitude": np.tile(lon, hours),
            "latitude": np.tile(lat, hours),
            "wind_u_m_s": np.full(n, u),
            "wind_v_m_s": np.zeros(n),
            "height_m": np.full(n, 10.0),
        }
    )


def write(path: Path, rows: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path)


@pytest.mark.parametrize(
    "layout", ["wind.parquet", "product=simulated/date=2025-08-31/data.parquet", "date=2025-08-31/a.parquet"]
)
def test_every_layout_is_read_within_the_hours_and_around_the_bounds(tmp_path: Path, layout: str) -> None:
    write(tmp_path / layout, hourly(DAY, 24))
    rows = read_wind_files(str(tmp_path), DAY + timedelta(hours=3), DAY + timedelta(hours=5), bounds=[OMAN])
    assert set(np.unique(rows["observed_at_utc"].to_numpy()).astype("datetime64[h]").astype(int) % 24) == {3, 4, 5}
    assert rows["longitude"].to_numpy().min() == 55.0
    assert rows["longitude"].to_numpy().max() == 57.0
    assert (rows["latitude"].to_numpy().min(), rows["latitude"].to_numpy().max()) == (21.0, 23.0)
    assert set(rows["product"].to_pylist()) == {"simulated" if "product" in layout else "files"}


def test_one_file_and_points_instead_of_bounds(tmp_path: Path) -> None:
    write(tmp_path / "w.parquet", hourly(DAY, 1))
    rows = read_wind_files(str(tmp_path / "w.parquet"), DAY, DAY, points=(np.array([179.9]), np.array([25.2])))
    assert {-180.0, 179.5} < set(rows["longitude"].to_pylist())
    assert max(abs((lon - 179.9 + 180) % 360 - 180) for lon in rows["longitude"].to_pylist()) <= 2


def test_only_the_folders_of_the_days_are_opened(tmp_path: Path) -> None:
    write(tmp_path / "date=2025-08-31" / "a.parquet", hourly(DAY, 1))
    (tmp_path / "date=2025-08-20").mkdir()
    (tmp_path / "date=2025-08-20" / "broken.parquet").write_bytes(b"not parquet")
    assert read_wind_files(str(tmp_path), DAY, DAY, bounds=[OMAN]).num_rows == 25


def test_a_bad_file_is_named_and_the_others_go_through(tmp_path: Path) -> None:
    write(tmp_path / "good.parquet", hourly(DAY, 1))
    (tmp_path / "truncated.parquet").write_bytes((tmp_path / "good.parquet").read_bytes()[:500])
    write(tmp_path / "other.parquet", pa.table({"a": [1]}))
    with pytest.raises(InputError, match=r"other\.parquet|truncated\.parquet"):
        read_wind_files(str(tmp_path), DAY, DAY)
    failures = []
    rows = read_wind_files(str(tmp_path), DAY, DAY, bounds=[OMAN], on_failure=failures.append)
    assert rows.num_rows == 25
    assert {f.scene_id for f in failures} == {"truncated.parquet", "other.parquet"}


def test_the_storage_gets_the_day_and_the_hours_that_its_ends_need(tmp_path: Path, storage_root: str) -> None:
    write(tmp_path / "source" / "w.parquet", hourly(DAY - timedelta(days=1), 72))
    written = copy_wind(str(tmp_path / "source"), storage_root, date(2025, 8, 31), [OMAN])
    assert [p.rsplit("/", 1)[1] for p in written] == ["date=2025-08-30", "date=2025-08-31", "date=2025-09-01"]
    rows = storage.read_table(WIND, storage.join(storage_root, "wind"))
    hours = {
        d: sorted({t.hour for t in rows.filter(pa.compute.equal(rows["date"], d))["observed_at_utc"].to_pylist()})
        for d in set(rows["date"].to_pylist())
    }
    assert hours == {"2025-08-30": list(range(18, 24)), "2025-08-31": list(range(24)), "2025-09-01": list(range(7))}


def test_each_writer_replaces_only_its_areas_and_a_repetition_changes_nothing(
    tmp_path: Path, storage_root: str
) -> None:
    write(tmp_path / "source" / "w.parquet", hourly(DAY, 24, u=1.0))
    for bounds in (OMAN, PERMIAN):
        copy_wind(str(tmp_path / "source"), storage_root, date(2025, 8, 31), [bounds])
    both = storage.read_table(WIND, storage.join(storage_root, "wind"))
    assert both.num_rows == (5 * 5 + 4 * 5) * 24
    for _ in range(2):
        copy_wind(str(tmp_path / "source"), storage_root, date(2025, 8, 31), [OMAN, PERMIAN])
        assert storage.read_table(WIND, storage.join(storage_root, "wind")).equals(both)
    write(tmp_path / "source" / "w.parquet", hourly(DAY, 24, u=7.0))
    copy_wind(str(tmp_path / "source"), storage_root, date(2025, 8, 31), [PERMIAN])
    after = storage.read_table(WIND, storage.join(storage_root, "wind"))
    u_of = {
        west: set(
            after.filter(pa.compute.less(after["longitude"], 0) if west else pa.compute.greater(after["longitude"], 0))[
                "wind_u_m_s"
            ].to_pylist()
        )
        for west in (True, False)
    }
    assert u_of == {True: {7.0}, False: {1.0}}


def test_a_setting_that_is_neither_a_product_nor_a_path_is_refused(storage_root: str) -> None:
    requests = requests_of_day(DAY.date(), [OMAN])
    assert fetch_wind_of_setting(Settings(storage_root), requests) == []
    with pytest.raises(ConfigurationError, match=r"merra.*geos_fp, era5"):
        fetch_wind_of_setting(Settings(storage_root, wind="merra"), requests)


def test_requests_of_several_days_are_copied_from_files(tmp_path: Path, storage_root: str) -> None:
    write(tmp_path / "w.parquet", hourly(DAY, 72))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    failures: list[FailedScene] = []
    requests = requests_at([56.0, -103.1], [22.0, 31.5], [DAY + timedelta(hours=12), DAY + timedelta(hours=40)])
    written = fetch_wind_of_setting(Settings(storage_root, wind=str(tmp_path)), requests, failures.append)
    assert [w.rsplit("/", 1)[1] for w in written] == ["date=2025-08-31", "date=2025-09-01", "date=2025-09-02"]
    assert {(f.scene_id, f.stage) for f in failures} == {("broken.parquet", "wind")}
    found = winds_at(
        storage.read_table(WIND, storage.join(storage_root, "wind")),
        [56.0, -103.1], [22.0, 31.5], [DAY + timedelta(hours=12), DAY + timedelta(hours=40)],
    )  # fmt: skip
    assert found.wind_u_m_s.tolist() == [1.0, 1.0]


def test_what_is_no_wind_folder_is_named_and_costs_no_other_rows(tmp_path: Path) -> None:
    write(tmp_path / "wind" / "product=a" / "date=2025-08-31" / "w.parquet", hourly(DAY, 1))
    write(tmp_path / "wind" / "product=b" / "date=2025-08-31" / "w.parquet", hourly(DAY, 1))
    (tmp_path / "wind" / "product=b" / "date=2025-08-31" / "_manifest.json").write_text("{")
    (tmp_path / "notes.txt").write_text("x")
    failures: list[FailedScene] = []
    rows = read_wind_files(str(tmp_path / "wind"), DAY, DAY, bounds=[OMAN], on_failure=failures.append)
    assert rows.num_rows == 25 and set(rows["product"].to_pylist()) == {"a"}
    assert read_wind_files(str(tmp_path / "notes.txt"), DAY, DAY, on_failure=failures.append).num_rows == 0
    assert [f.scene_id for f in failures] == ["date=2025-08-31", "notes.txt"]
    with pytest.raises(InputError, match=r"_manifest\.json"):
        read_wind_files(str(tmp_path / "wind"), DAY, DAY)


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("s", "UTC")])
def test_times_of_other_types_are_read_as_utc(tmp_path: Path, kind: pa.DataType) -> None:
    rows = hourly(DAY, 3)
    write(tmp_path / "w.parquet", rows.set_column(0, "observed_at_utc", rows["observed_at_utc"].cast(kind)))
    read = read_wind_files(str(tmp_path), DAY + timedelta(hours=1), DAY + timedelta(hours=1), bounds=[OMAN])
    assert set(read["observed_at_utc"].to_pylist()) == {DAY + timedelta(hours=1)} and read.num_rows == 25


def test_a_file_without_the_columns_is_told_which(tmp_path: Path) -> None:
    write(tmp_path / "w.parquet", pa.table({"a": [1]}))
    with pytest.raises(InputError, match=r"no column observed_at_utc.*a wind table with"):
        read_wind_files(str(tmp_path), DAY, DAY)


@pytest.mark.parametrize("fill", [-999999.0, -9999.0, -999.9, -99.9, 99.99, -99.0, 999.0, 1e20, np.inf])
def test_fill_values_of_a_wind_file_are_no_wind(tmp_path: Path, fill: float, caplog: pytest.LogCaptureFixture) -> None:
    good = hourly(DAY, 1)
    write(tmp_path / "w.parquet", pa.concat_tables([good, hourly(DAY, 1, u=fill)]))
    assert read_wind_files(str(tmp_path), DAY, DAY).num_rows == good.num_rows
    assert f"{good.num_rows} of {2 * good.num_rows} rows say no wind near the ground: wind_u_m_s" in caplog.text


@pytest.mark.parametrize("height_m", [1e5, 1e4, 0.01, 0.0, -10.0, -9999.0, 3001.0])
def test_a_height_that_is_none_of_a_wind_near_the_ground_is_no_wind(
    tmp_path: Path, height_m: float, caplog: pytest.LogCaptureFixture
) -> None:
    rows = hourly(DAY, 1)
    odd = rows.set_column(rows.column_names.index("height_m"), "height_m", pa.array(np.full(len(rows), height_m, "f4")))
    write(tmp_path / "w.parquet", pa.concat_tables([rows, odd.cast(rows.schema)]))
    assert read_wind_files(str(tmp_path), DAY, DAY)["height_m"].to_pylist() == [10.0] * len(rows)
    assert f"{len(rows)} of {2 * len(rows)} rows say no wind" in caplog.text and "height_m " in caplog.text


HOURS = hourly(DAY, 2, u=5.0)
LAYOUTS = [
    "a.parquet", "product=era5/date=2025-08-31/a.parquet", "product=era5/date=20250831/a.parquet",
    "date=2025-08-31 00:00:00/a.parquet", "date=2025-08-31T00:00:00/a.parquet",
    "date=2025-08-31%2000%3A00%3A00/a.parquet", "date=2025-08/a.parquet", "year=2025/month=8/a.parquet",
    "2025/08/a.parquet", "2025/08/31/00/a.parquet", "a.pq", "x/a.parq", "A.PARQUET", "wind.parquet/part-0.parquet",
    "date=2025-08-31/product=era5/a.parquet", "product=x/product=era5/a.parquet",
    "source=era5/date=2025-08-31/hour=10/a.parquet",
]  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_wind_in_the_folders_that_people_have_is_read(tmp_path: Path, name: str) -> None:
    write(tmp_path / "s" / name, HOURS)
    for at in ("s", f"s/{name}"):
        rows = read_wind_files(str(tmp_path / at), DAY, DAY, bounds=[OMAN])
        assert rows.num_rows == 25 and set(rows["product"].to_pylist()) == {"era5" if "product=" in name else "files"}
    assert read_wind_files(str(tmp_path / "s"), DAY - timedelta(days=9), DAY - timedelta(days=8)).num_rows == 0


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda us: pa.array(us // 10**6), "int64"),
        (lambda us: pa.array(us // 1000), "int64"),
        (lambda us: pa.array(us * 1000), "int64"),
        (lambda us: pa.array(us), "int64"),
        (lambda us: pa.array(us / 1e6), "double"),
        (lambda us: pa.array((us // 10**6).astype("uint32")), "uint32"),
        (lambda us: pa.array(us).cast(pa.timestamp("us")).cast(pa.date32(), safe=False), "date32"),
    ],
)
def test_times_that_say_no_unit_or_no_hour_are_refused_by_name(tmp_path: Path, change: Any, found: str) -> None:
    us = HOURS["observed_at_utc"].cast(pa.int64()).to_numpy()
    write(tmp_path / "w.parquet", HOURS.set_column(0, "observed_at_utc", change(us)))
    for bounds in ([OMAN], []):
        with pytest.raises(InputError, match=rf"w\.parquet: observed_at_utc of type {found}.*allowed: timestamps"):
            read_wind_files(str(tmp_path), DAY, DAY, bounds=bounds)


@pytest.mark.parametrize(
    "name", ["era5.nc", "2019/06/era5.grib", "wind.csv", "a.parquet.gz", "wind.feather", "notes.txt", "x/y/z.dat"]
)
def test_a_folder_without_a_file_that_is_read_is_named(tmp_path: Path, storage_root: str, name: str) -> None:
    (tmp_path / "w" / name).parent.mkdir(parents=True)
    (tmp_path / "w" / name).write_bytes(b"x")
    failures: list[FailedScene] = []
    requests = requests_of_day(DAY.date(), [OMAN])
    fetch_wind_of_setting(Settings(storage_root, wind=str(tmp_path / "w")), requests, failures.append)
    assert any(Path(name).name in f.message and "allowed: Parquet" in f.message for f in failures)
    write(tmp_path / "w" / "good.parquet", HOURS)
    failures.clear()
    assert fetch_wind_of_setting(Settings(storage_root, wind=str(tmp_path / "w")), requests, failures.append)
    assert {f.scene_id for f in failures} == ({Path(name).name} if not name.endswith(("txt", "dat")) else set())


@pytest.mark.parametrize(
    "rows",
    [hourly(DAY - timedelta(days=9), 2), hourly(datetime(1970, 1, 1, tzinfo=UTC), 2), HOURS.slice(0, 0),
     hourly(DAY, 2, u=-999999.0), HOURS.filter(pa.compute.less(HOURS["longitude"], 0))],
    ids=["another day", "1970", "no row", "fill only", "elsewhere"],
)  # fmt: skip
def test_files_without_any_wind_that_is_asked_for_are_named(tmp_path: Path, storage_root: str, rows: pa.Table) -> None:
    write(tmp_path / "w" / "a.parquet", rows)
    failures: list[FailedScene] = []
    where = Settings(storage_root, wind=str(tmp_path / "w"))
    assert fetch_wind_of_setting(where, requests_of_day(DAY.date(), [OMAN]), failures.append) == []
    assert [(f.scene_id, f.stage, f.error_class) for f in failures] == [("w", "wind", "NoWindYet")]


def test_folders_behind_links_are_followed_and_hidden_ones_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "elsewhere" / "a.parquet", HOURS)
    write(tmp_path / "s" / ".hidden" / "a.parquet", HOURS)
    write(tmp_path / "s" / "_temporary" / "a.parquet", HOURS)
    (tmp_path / "s" / "2025").symlink_to(tmp_path / "elsewhere")
    at_100_m = pa.array(np.full(HOURS.num_rows, 100.0), HOURS.schema.field("height_m").type)
    write(tmp_path / "b.parquet", HOURS.set_column(HOURS.column_names.index("height_m"), "height_m", at_100_m))
    (tmp_path / "s" / "b.parquet").symlink_to(tmp_path / "b.parquet")
    assert read_wind_files(str(tmp_path / "s"), DAY, DAY, bounds=[OMAN]).num_rows == 2 * 25
    (tmp_path / "s" / "up").symlink_to(tmp_path / "s")
    assert read_wind_files(str(tmp_path / "s"), DAY, DAY, bounds=[OMAN]).num_rows == 2 * 25
    assert "/s/up: a link to nothing, or back" in caplog.text


PRODUCTS = {
    "a column alone": ("a.parquet", ["mine", "era5"], ["era5", "mine"]),
    "a column that is null in part": ("a.parquet", ["mine", None], ["files", "mine"]),
    "folder and column agree": ("product=era5/a.parquet", ["era5", "era5"], ["era5"]),
    "folder and column differ": ("product=era5/a.parquet", ["mine", "mine"], ["era5"]),
    "a column in dated folders": ("date=2019-06-01/a.parquet", ["mine", "mine"], ["mine"]),
    "no column": ("a.parquet", None, ["files"]),
}


@pytest.mark.parametrize("name, stated, products", PRODUCTS.values(), ids=PRODUCTS)
def test_the_product_that_a_file_states_is_used_or_named(
    tmp_path: Path, storage_root: str, caplog: pytest.LogCaptureFixture, name: str, stated: Any, products: list[str]
) -> None:
    rows = hourly(datetime(2019, 6, 1, 9, tzinfo=UTC), 2)
    if stated:
        rows = rows.append_column("product", pa.array(stated * (rows.num_rows // 2), pa.string()))
    write(tmp_path / "in" / name, rows)
    start, end = (datetime(2019, 6, 1, hour, tzinfo=UTC) for hour in (0, 23))
    read = read_wind_files(str(tmp_path / "in"), start, end)
    assert sorted(set(read["product"].to_pylist())) == products and read.num_rows == rows.num_rows
    assert KeptFiles(str(tmp_path / "in")).read(start, end, (np.array([10.0]), np.array([30.0]))).num_rows > 0
    assert ("its folder counts" in caplog.text) is (stated == ["mine", "mine"] and products == ["era5"])
    copy_wind(str(tmp_path / "in"), storage_root, date(2019, 6, 1), [(9.0, 29.0, 11.0, 31.0)])
    partitions = storage.list_partitions(WIND, f"{storage_root}/wind")
    assert {partition.keys["product"] for partition in partitions} == set(products)


@pytest.mark.parametrize("product", ["a/b", "..", "", ".hidden", "a\\b"])
def test_a_product_that_no_folder_can_be_called_is_refused_by_name(tmp_path: Path, product: str) -> None:
    rows = hourly(datetime(2019, 6, 1, 9, tzinfo=UTC), 1)
    write(tmp_path / "a.parquet", rows.append_column("product", pa.array([product] * rows.num_rows)))
    with pytest.raises(InputError, match=r"a\.parquet: product .*; allowed: names that a folder"):
        read_wind_files(str(tmp_path), datetime(2019, 6, 1, tzinfo=UTC), datetime(2019, 6, 2, tzinfo=UTC))


@pytest.mark.parametrize("newer", ["a.parquet", "b.parquet", "product=files/date=2025-08-31/c.parquet"])
@pytest.mark.parametrize("first_longitude", [0.0, 360.0], ids=["-180 to 180", "0 to 360"])
def test_of_two_files_that_contradict_each_other_the_newest_counts_and_the_log_says_so(
    tmp_path: Path, newer: str, first_longitude: float, caplog: pytest.LogCaptureFixture
) -> None:
    older = "b.parquet" if newer == "a.parquet" else "a.parquet"
    for name, u, at in ((older, -5.0, 1_000_000_000), (newer, 5.0, 1_100_000_000)):
        rows = hourly(DAY, 2, u=u)
        if name == newer:  # the same places, told otherwise
            lon = rows["longitude"].to_numpy()
            rows = rows.set_column(1, "longitude", pa.array(np.where(lon < 0, lon + first_longitude, lon), "f4"))
            rows = WIND.conform(rows)
        write(tmp_path / name, rows)
        os.utime(tmp_path / name, (at, at))
    found = read_wind_files(str(tmp_path), DAY, DAY + timedelta(hours=1), bounds=[PERMIAN])
    assert found.num_rows > 4 and set(found["wind_u_m_s"].to_pylist()) == {5.0}
    assert found["longitude"].to_numpy().max() < -100.0 and "contradicted" in caplog.text


def test_files_that_tell_the_same_twice_are_one_wind_and_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.parquet", "b.parquet"):
        write(tmp_path / name, hourly(DAY, 1, u=3.0))
    once = hourly(DAY, 1)
    assert read_wind_files(str(tmp_path), DAY, DAY).num_rows == once.num_rows and caplog.text == ""


def test_rows_of_one_file_that_contradict_each_other_are_told_of_that_file(tmp_path: Path, caplog: Any) -> None:
    write(tmp_path / "a.parquet", pa.concat_tables([hourly(DAY, 1), hourly(DAY, 1, u=30.0)]))
    assert set(read_wind_files(str(tmp_path), DAY, DAY)["wind_u_m_s"].to_pylist()) == {30.0}
    assert "a.parquet: " in caplog.text and "by later rows of this file" in caplog.text and "newer" not in caplog.text
