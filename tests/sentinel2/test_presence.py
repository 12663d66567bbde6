"""Whether what is stored serves an area as it is now: after it has shrunk or grown, or has other bands or cells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely
from plumewatch import storage
from plumewatch.failures import FailureBook
from plumewatch.rasters.scene_store import scene_paths
from plumewatch.sentinel2.completeness.gap_report import GapReport, close_gaps
from plumewatch.sentinel2.completeness.gaps import Gap, find_gaps
from plumewatch.sentinel2.day_search import search_day
from plumewatch.sentinel2.ingest import fetch_area_scene
from plumewatch.sentinel2.presence import known_areas
from plumewatch.settings import Settings
from plumewatch.tables import PIXELS, SCENE_GAPS
from scene_catalogue import AREA, SceneCatalogue, scene_catalogue, write_area

DAY = "2025-08-01"


@pytest.fixture
def catalogue() -> Iterator[SceneCatalogue]:
    with scene_catalogue() as served:
        served.add(DAY, 0)
        yield served


@pytest.fixture
def settings(tmp_path: Path, catalogue: SceneCatalogue) -> Settings:
    """The area of which a scene is stored."""
    found = Settings(storage_root=str(tmp_path), stac_api=catalogue.url)
    write_area(tmp_path / "areas", bands="B11")
    fill(found, look(found))
    assert look(found).gaps == []
    return found


def look(settings: Settings) -> GapReport:
    found = search_day(settings, DAY, [AREA])
    gaps, _ = find_gaps(settings, found, FailureBook(settings.storage_root, "sentinel2_daily_ingest", "run"))
    return GapReport(found, [gap for gap in gaps if gap.scene_id])


def fill(settings: Settings, report: GapReport) -> None:
    for scene in report.due:
        fetch_area_scene(settings, scene.area, scene.item_href, scene.older, scene.stored)


def told(report: GapReport) -> tuple[str, str]:
    [gap] = report.gaps
    assert isinstance(gap, Gap) and gap.is_due
    return gap.reason, gap.message.rpartition(": ")[2]


def resize(settings: Settings, metres: float, **properties: Any) -> None:
    """Write the area with an outline that lies so far outside of what it was."""
    write_area(Path(settings.storage_root) / "areas", **{"bands": "B11", **properties})
    file = Path(settings.storage_root) / "areas" / f"{AREA}.geojson"
    feature = json.loads(file.read_text())
    outline = shapely.geometry.shape(feature["geometry"]).buffer(metres / 111_000.0, join_style="mitre")
    file.write_text(json.dumps({**feature, "geometry": shapely.geometry.mapping(outline)}))


def item_of(settings: Settings, catalogue: SceneCatalogue) -> str:
    return scene_paths(settings.table_root("scenes"), AREA, DAY, *catalogue.scenes).item


def test_of_a_smaller_area_a_scene_is_whole_and_of_a_larger_one_it_is_fetched_again(
    settings: Settings, catalogue: SceneCatalogue
) -> None:
    resize(settings, -60.0)
    assert look(settings).gaps == []
    resize(settings, 60.0)
    larger = look(settings)
    assert told(larger) == ("broken", f"doesn't reach to all edges that area {AREA} has by now")
    fill(settings, larger)
    assert look(settings).gaps == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bands": "B11,B12"}, f"no B12, which area {AREA} has by now"),
        ({"resolution_m": 10}, f"stacked on other cells than area {AREA} has by now"),
    ],
)
def test_a_scene_lacks_the_bands_and_cells_that_its_area_has_got_since(
    settings: Settings, changed: dict[str, Any], said: str
) -> None:
    write_area(Path(settings.storage_root) / "areas", **{"bands": "B11", **changed})
    assert told(look(settings)) == ("broken", said)


def test_a_scene_of_another_tool_is_on_whatever_grid_that_gave_it(
    settings: Settings, catalogue: SceneCatalogue
) -> None:
    item = item_of(settings, catalogue)
    stated = storage.read_json(item)
    del stated["properties"]["plumewatch:recipe"]
    storage.write_json(item, stated)
    resize(settings, 60.0)
    assert look(settings).gaps == []


@pytest.mark.parametrize("change", ["{}", "[]", "no sun", "no assets", "no bands"])
def test_an_item_that_no_reader_can_use_is_damage_and_fetched_again(
    settings: Settings, catalogue: SceneCatalogue, change: str
) -> None:
    item = item_of(settings, catalogue)
    whole = storage.read_json(item)
    odd: dict[str, Any] = {
        "{}": {}, "[]": [], "no sun": {**whole, "properties": {**whole["properties"], "view:sun_elevation": "low"}},
        "no assets": {**whole, "assets": {}}, "no bands": {**whole, "assets": {}},
    }  # fmt: skip
    storage.write_json(item, odd[change])
    if change == "no assets":  # which would tell of this
        Path(item.replace(".json", "_scl.tif")).unlink()
    if change == "no bands":
        scl = Path(item.replace(".json", "_scl.tif"))
        Path(item.replace(".json", ".tif")).write_bytes(scl.read_bytes())
    damaged = look(settings)
    assert told(damaged)[0] == "broken"
    fill(settings, damaged)
    assert look(settings).gaps == [] and storage.read_json(item) == whole


def test_the_pixels_of_an_area_that_has_changed_are_made_again_of_the_scene_that_is_there(
    settings: Settings, catalogue: SceneCatalogue, run: Callable[..., Any], tmp_path: Path
) -> None:
    write_area(tmp_path / "areas")
    fill(settings, look(settings))
    item, pixels, n_rows = item_of(settings, catalogue), settings.table_root("pixels"), []

    def make_pixels() -> None:
        run("--areas-path", tmp_path / "areas")
        rows = storage.read_table(PIXELS, pixels, ["longitude", "latitude"])
        outline = known_areas(settings)[AREA].geometry
        assert shapely.contains_xy(outline, rows["longitude"].to_numpy(), rows["latitude"].to_numpy()).all()
        n_rows.append(rows.num_rows)

    make_pixels()
    assert look(settings).gaps == []
    catalogue.asked.clear()
    for metres in (-11.0, -60.0):  # on the same grid, and on a smaller one
        resize(settings, metres, bands="B11,B12")
        outdated = look(settings)
        assert told(outdated) == ("no_pixels", "its pixels are those of the area as it was")
        assert [scene.stored for scene in outdated.due] == [item]
        fill(settings, outdated)
        row = {"area": AREA, "scene_id": outdated.gaps[0].scene_id, "run_id": "run", "reason": "no_pixels"}
        rows = SCENE_GAPS.from_pylist([row])
        storage.write_partition(SCENE_GAPS, settings.table_root(SCENE_GAPS.name), {"date": DAY}, rows)
        assert len(close_gaps(settings, {DAY}, "run")) == 1
        make_pixels()
        assert close_gaps(settings, {DAY}, "run") == [] and look(settings).gaps == []
    assert not catalogue.asked  # no raster of it
    assert n_rows == sorted(n_rows, reverse=True) and n_rows[-1] < n_rows[0]
