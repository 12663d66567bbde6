"""Composites: mean and median of what is clear, once a date, as COG and item."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from jobs import load_job
from numpy.typing import NDArray
from plumewatch import storage
from plumewatch.failures import NothingDone
from plumewatch.tables import FAILED_SCENES
from rio_cogeo import cog_validate
from sentinel2_scenes import write_raster

DAYS = ("2025-08-21", "2025-08-26", "2025-08-31")


@pytest.fixture
def compose(spark: object, tmp_path: Path) -> Callable[..., Any]:
    job = load_job("monthly_composites")

    def run() -> Any:
        paths = ["--scenes-path", str(tmp_path / "scenes"), "--composites-path", str(tmp_path / "composites")]
        return job.run(job.parse_arguments([*paths, "--month", "2025-08"]))

    return run


def seen(numbers: Mapping[str, NDArray[Any]], band: str) -> NDArray[np.float64]:
    """Reflectance where the ground is seen, further than 60 m from cloud."""
    row, col = np.indices(numbers["SCL"].shape)
    clear = np.isin(numbers["SCL"], (4, 5)) & (numbers[band] > 0)
    for r, c in np.argwhere(np.isin(numbers["SCL"], (3, 8, 9, 10))):
        clear &= np.hypot(row - r, col - c) > 3
    return np.where(clear, numbers[band] / 10_000.0, np.nan)


def test_a_month_is_mean_and_median_of_what_is_clear(
    compose: Callable[..., Any], scene: Callable[..., Any], tmp_path: Path
) -> None:
    cloudy = np.full((40, 40), 4, np.uint8)
    cloudy[5, 5] = cloudy[30, 12] = 9
    numbers = [scene(day, scl=scl) for day, scl in zip(DAYS, (cloudy, cloudy.T.copy(), cloudy[::-1]), strict=True)]
    other = scene(DAYS[0], tile="40RDP", scl=np.full((40, 40), 9, np.uint8))  # shows nothing of the ground
    assert other and compose().rows_written == 1
    folder = tmp_path / "composites" / "area=dune" / "month=2025-08"
    item = pystac.Item.from_file(str(folder / "composite.json"))
    assert set(item.assets) == {"median", "mean", "clear_count"} and len(item.properties["plumewatch:inputs"]) == 4
    rasters = {}
    for kind in item.assets:
        assert cog_validate(folder / f"{kind}.tif", quiet=True)[0]
        with rasterio.open(folder / f"{kind}.tif") as source:
            rasters[kind] = {
                name: source.read(i) * source.scales[i - 1] for i, name in enumerate(source.descriptions, 1)
            }
    assert set(rasters["median"]) == {"B04", "B08", "B11", "B12"}
    for band in ("B04", "B08"):
        stack = np.stack([seen(one, band) for one in numbers])
        count = np.isfinite(stack).sum(0)
        assert (rasters["clear_count"]["clear_count"] == count).all() and {0, 1, 2, 3} & set(count.ravel()) >= {1, 2, 3}
        for kind, statistic in (("median", np.nanmedian), ("mean", np.nanmean)):
            expected = np.where(count > 0, statistic(np.where(count > 0, stack, 0.0), axis=0), 0.0)
            assert rasters[kind][band] == pytest.approx(expected, abs=0.51e-4)


def test_a_bad_scene_is_left_out_and_named_and_the_others_are_composed(
    compose: Callable[..., Any], scene: Callable[..., Any], tmp_path: Path
) -> None:
    good = scene(DAYS[0], scl=np.full((40, 40), 4, np.uint8))
    scene(DAYS[1])
    bad = tmp_path / "scenes" / "area=dune" / f"date={DAYS[1]}" / "S2A_40RDN_20250826_0_L2A_scl.tif"
    bad.write_bytes(bad.read_bytes()[:-200])
    assert compose().failed == 1
    [failed] = storage.read_table(FAILED_SCENES, str(tmp_path / "failed_scenes")).to_pylist()
    assert failed["scene_id"] == "S2A_40RDN_20250826_0_L2A" and failed["stage"] == "composite"
    folder = tmp_path / "composites" / "area=dune" / "month=2025-08"
    item = json.loads((folder / "composite.json").read_text())
    assert len(item["properties"]["plumewatch:inputs"]) == 1 and set(item["assets"]) == {
        "mean",
        "median",
        "clear_count",
    }
    with rasterio.open(folder / "mean.tif") as source:
        assert (source.read(source.descriptions.index("B08") + 1) == good["B08"]).all()


def test_a_scene_that_shares_no_band_with_the_others_is_named_and_left_out(
    compose: Callable[..., Any], scene: Callable[..., Any], tmp_path: Path
) -> None:
    for day in DAYS[:2]:
        scene(day)
    folder, name = tmp_path / "scenes" / "area=dune" / f"date={DAYS[2]}", "S2A_40RDN_20250831_0_L2A"
    scene(DAYS[2])
    write_raster(folder / f"{name}.tif", np.full((40, 40), 900, np.uint16), names=("B02",), scale=0.0001)
    assert compose().failed == 1
    [failed] = storage.read_table(FAILED_SCENES, str(tmp_path / "failed_scenes")).to_pylist()
    assert failed["scene_id"] == name and "bands B02; allowed: some of B04, B08, B11, B12" in failed["message"]
    item = json.loads((tmp_path / "composites" / "area=dune" / "month=2025-08" / "composite.json").read_text())
    assert len(item["properties"]["plumewatch:inputs"]) == 2


def test_an_area_without_a_readable_scene_costs_no_other_and_all_of_them_nothing_that_is_stored(
    compose: Callable[..., Any], scene: Callable[..., Any], tmp_path: Path
) -> None:
    for area in ("dune", "east"):
        scene(area=area)
    for area, written in (("east", 1), ("dune", 0)):
        (tmp_path / "scenes" / f"area={area}" / f"date={DAYS[0]}" / "S2A_40RDN_20250821_0_L2A.tif").write_bytes(b"II")
        with nullcontext() if written else pytest.raises(NothingDone, match="S2A_40RDN"):
            assert compose().rows_written == written
    failed = storage.read_table(FAILED_SCENES, str(tmp_path / "failed_scenes")).to_pylist()
    assert {row["area"] for row in failed} == {"dune", "east"}
    assert [path.parts[-3] for path in tmp_path.glob("composites/*/*/composite.json")] == ["area=dune"]
