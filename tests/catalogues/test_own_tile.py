"""The square of a scene's own tile, however its item writes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pystac
import pytest
import shapely
from plumewatch.catalogues.own_tile import in_own_tile, own_tile
from plumewatch.errors import InputError
from plumewatch.models import Grid
from rasterio.warp import transform_bounds

TILE = (399960.0, 2690220.0, 509760.0, 2800020.0)  # 40RDN
INSIDE = Grid(32640, 450000.0, 2750000.0, 20.0, 50, 40)
AT_THE_EDGE = Grid(32640, 509760.0 - 10 * 20.0, 2750000.0, 20.0, 50, 40)
FAR_AWAY = Grid(32640, 550000.0, 2750000.0, 20.0, 50, 40)


def item(bbox: Any = TILE, epsg: Any = 32640, tile: tuple[float, ...] = TILE, zone: int = 32640) -> pystac.Item:
    west, south, east, north = degrees(tile, zone)
    stated = {"proj:epsg": epsg, "proj:bbox": bbox, "datetime": "2025-08-21T06:48:12Z"}
    footprint = shapely.geometry.mapping(shapely.box(west, south, east + 360.0 * (east < west), north))
    content = {"type": "Feature", "stac_version": "1.0.0", "id": "S2A_40RDN", "geometry": footprint, "links": []}
    return pystac.Item.from_dict({**content, "properties": stated, "assets": {}}, migrate=False)


def degrees(tile: tuple[float, ...] = TILE, zone: int = 32640) -> list[float]:
    return list(transform_bounds(f"EPSG:{zone}", "EPSG:4326", *tile))


def test_in_metres_it_ends_at_the_tile_s_edge() -> None:
    assert own_tile(item()) == (shapely.box(*TILE), 32640)
    assert in_own_tile(item(), INSIDE).all() and not in_own_tile(item(), FAR_AWAY).any()
    assert (in_own_tile(item(), AT_THE_EDGE) == (np.arange(50) < 10)).all()


def test_in_degrees_it_is_seen_through(caplog: pytest.LogCaptureFixture) -> None:
    in_degrees = item(degrees())
    assert in_own_tile(in_degrees, INSIDE).all() and not in_own_tile(in_degrees, FAR_AWAY).any()
    assert in_own_tile(in_degrees, AT_THE_EDGE)[:, :10].all()
    assert "isn't in metres of EPSG:32640: taken as degrees" in caplog.text
    assert own_tile(item(degrees(), epsg=4326))[1] == 4326


@pytest.mark.parametrize("side", ["degrees", "metres"])
def test_a_tile_across_the_antimeridian_is_where_it_is(side: str) -> None:
    """01KAB, which begins west of 180 degrees: its box in degrees has its west in the east."""
    tile = (99960.0, 7790200.0, 209760.0, 7900000.0)
    west, south, east, north = degrees(tile, 32701)
    assert west > east
    one = item([west, south, east, north] if side == "degrees" else list(tile), 32701, tile, 32701)
    assert in_own_tile(one, Grid(32701, 150000.0, 7850000.0, 20.0, 30, 30)).all()
    assert not in_own_tile(one, Grid(32701, 300000.0, 7850000.0, 20.0, 30, 30)).any()


@pytest.mark.parametrize(
    ("bbox", "epsg"),
    [
        (list(TILE), 32641),
        ([degrees()[1], degrees()[0], degrees()[3], degrees()[2]], 32640),  # latitude first
        ([0.0, 0.0, 0.0, 0.0], 32640),
        ([1.0, 2.0, 3.0], 32640),
        (["x"] * 4, 32640),
        (list(TILE), 99999999),
    ],
)
def test_one_that_cannot_be_is_refused_by_name(bbox: Any, epsg: int) -> None:
    with pytest.raises(InputError, match=r"S2A_40RDN: .*allowed: .*proj:"):
        own_tile(item(bbox, epsg))


def test_one_that_states_nothing_ends_nowhere() -> None:
    assert own_tile(item(None)) is None and in_own_tile(item(None), FAR_AWAY).all()
