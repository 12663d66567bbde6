"""Lists of plumes that others published, in their forms, become rows of `reported_plumes`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from inventory_files import write
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.inventory.refresh import refresh_sources
from plumewatch.inventory.reported_plumes import CARBON_MAPPER, IMEO_MARS, OWN, read_reported_plumes
from plumewatch.tables import REPORTED_PLUMES

MARS_HEADER = (
    "id_plume,satellite,tile_date,lat,lon,notified,country,sector,detection_institution,tile,ch4_fluxrate,"
    "ch4_fluxrate_std,wind_u,wind_v,total_emission,total_emission_std,wind_speed,last_update,actionable,insert_date"
)
MARS = "{id},Sentinel-2,{at},38.5,54.2,True,Turkmenistan,Oil and Gas,IMEO,S2A_MSIL1C_x,{rate},{std},1,2,,,2.2,x,True,x"
MAPPER_HEADER = (
    "plume_id,plume_latitude,plume_longitude,datetime,country,ipcc_sector,gas,plume_bounds,instrument,emission_auto,"
    "emission_uncertainty_auto,platform,provider"
)
MAPPER = '{id},31.9,-102.1,{at},USA,Oil & Gas (1B2),{gas},"[-102.2, 31.8, -102.0, 32.0]",ang,{rate},{std},Tanager,CM'
OWN_HEADER = "report_id,gas,observed_at_utc,longitude,latitude,emission_kg_h,platform,licence"
OWN_ROW = "a,ch4,2024-05-01T06:48:00Z,54.2,38.5,{rate},GHGSat,ours"


def mars(folder: Path, *lines: str, name: str = "unep_methanedata_detected_plumes.csv") -> str:
    return write(folder, name, MARS_HEADER, *lines)


def plume(id_: str = "p1", at: str = "2024-05-01T06:48:10", rate: str = "3813", std: str = "1372") -> str:
    return MARS.format(id=id_, at=at, rate=rate, std=std)


def told(paths: list[str], form: Any = IMEO_MARS) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    failures: list[Any] = []
    aside: list[str] = []
    rows = read_reported_plumes(paths, form, failures.append, aside.append).to_pylist()
    return rows, [f"{f.scene_id} {f.message}" for f in failures], aside


def test_mars(tmp_path: Path) -> None:
    rows, failures, _ = told([mars(tmp_path, plume(), plume("p2", "2024-05-01 06:48:10.5", "", ""))])
    assert failures == [] and [row["emission_kg_h"] for row in rows] == [3813.0, None]
    assert rows[0] == {
        "report_id": "p1", "gas": "ch4", "observed_at_utc": datetime(2024, 5, 1, 6, 48, 10, tzinfo=UTC),
        "longitude": pytest.approx(54.2), "latitude": 38.5, "emission_kg_h": 3813.0, "emission_sigma_kg_h": 1372.0,
        "platform": "Sentinel-2", "sector": "Oil and Gas", "licence": "UNEP IMEO MARS, terms of methanedata.unep.org",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("at", "hour"),
    [("2026-03-21T10:48:33+00", 10), ("2026-03-21T10:48:33.25-05", 15), ("2026-03-21 10:48:33+02:00", 8),
     ("2026-03-21T10:48:33Z", 10), ("2026-3-21 10:48", 10), ("20260321T10", 10)],
)  # fmt: skip
def test_carbon_mapper_and_its_short_offsets(tmp_path: Path, at: str, hour: int) -> None:
    lines = [MAPPER.format(id=f"{gas}-1", at=at, gas=gas, rate=500, std=90) for gas in ("CH4", "CO2")]
    rows, failures, _ = told([write(tmp_path, "carbon_mapper_plumes.csv", MAPPER_HEADER, *lines)], CARBON_MAPPER)
    assert failures == [] and [(r["gas"], r["observed_at_utc"].hour) for r in rows] == [("ch4", hour), ("co2", hour)]
    assert (rows[0]["sector"], rows[0]["platform"], rows[0]["longitude"]) == ("Oil & Gas (1B2)", "Tanager", -102.1)


def test_a_list_of_one_s_own_needs_little(tmp_path: Path) -> None:
    [row] = told([write(tmp_path, "own_plumes.csv", OWN_HEADER, OWN_ROW.format(rate=900))], OWN)[0]
    assert (row["emission_kg_h"], row["emission_sigma_kg_h"], row["licence"]) == (900.0, None, "ours")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (plume(rate="-5"), "emission_kg_h is '-5'"),
        (plume(rate="3,5").replace("3,5", '"3,5"'), "emission_kg_h is '3,5'"),
        (plume(rate="9e9"), "emission_kg_h is '9e9'"),
        (plume(std="-1"), "emission_sigma_kg_h is '-1'"),
        (plume(at="yesterday"), "observed_at_utc is 'yesterday'"),
        (plume(at="0001-01-01T10:00"), "observed_at_utc is '0001-01-01T10:00'"),
        (plume(at="2026-02-30T10:00"), "observed_at_utc is '2026-02-30T10:00'"),
        (plume(at="2026-03-21"), "observed_at_utc is '2026-03-21'; allowed: a day and time such as"),
        (plume(at="20260321"), "observed_at_utc is '20260321'"),
        (plume(at="2026-03"), "observed_at_utc is '2026-03'"),
        (plume(at="2026"), "observed_at_utc is '2026'"),
        (plume().replace("38.5,54.2", "154.2,38.5"), "latitude is '154.2'"),
        (plume(""), "report_id is ''"),
        ("p1,torn", "as many fields as the header"),
    ],
)
def test_a_bad_plume_is_named_and_the_good_go_through(tmp_path: Path, bad: str, says: str) -> None:
    path = mars(tmp_path, plume("good"), bad)
    with pytest.raises(InputError, match=r"plumes\.csv:3: "):
        read_reported_plumes([path], IMEO_MARS)
    rows, failures, _ = told([path])
    assert [row["report_id"] for row in rows] == ["good"] and len(failures) == 1 and says in failures[0]


def test_a_plume_twice_counts_once_and_contradicting_ones_not_at_all(tmp_path: Path) -> None:
    assert len(told([mars(tmp_path, plume(), plume())])[0]) == 1
    rows, failures, _ = told([mars(tmp_path, plume("good"), plume(), plume(rate="5"))])
    assert [row["report_id"] for row in rows] == ["good"] and len(failures) == 2
    old, new = (mars(tmp_path, plume(rate=rate), name=f"mars_{rate}.csv") for rate in ("7", "5"))
    os.utime(old, (1, 1))
    rows, _, aside = told([new, old])
    assert [row["emission_kg_h"] for row in rows] == [5.0] and aside == ["mars_7.csv: 1 plumes that a newer file has"]


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff\xfe\x00", b"a,b\n1,2\n"])
@pytest.mark.parametrize("form", [IMEO_MARS, CARBON_MAPPER, OWN])
def test_another_file_is_refused_with_its_name(tmp_path: Path, content: bytes, form: Any) -> None:
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"f\.csv"):
        read_reported_plumes([str(tmp_path / "f.csv")], form)


def test_lists_are_partitions_by_provider_and_leave_with_their_files(tmp_path: Path, storage_root: str) -> None:
    folder = tmp_path / "lists"
    path = Path(mars(folder, plume(), plume("bad", rate="x")))
    write(folder, "own_plumes_ghgsat.csv", OWN_HEADER, OWN_ROW.format(rate=900))
    done = refresh_sources(str(folder), storage_root)
    assert done.rows == {"imeo_mars": 1, "own": 1, "combined": 0}
    assert [f.scene_id for f in done.failures] == [f"{path.name}:3"]
    stored = storage.read_table(REPORTED_PLUMES, f"{storage_root}/reported_plumes")
    assert sorted(zip(stored["provider"].to_pylist(), stored["report_id"].to_pylist(), strict=True)) == [
        ("imeo_mars", "p1"), ("own", "a"),
    ]  # fmt: skip
    path.unlink()
    assert refresh_sources(str(folder), storage_root).gone == {"imeo_mars": 1}
    assert storage.read_table(REPORTED_PLUMES, f"{storage_root}/reported_plumes").num_rows == 1
