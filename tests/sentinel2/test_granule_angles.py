"""Angles by the granule's metadata, over real HTTP, where the item doesn't state them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pystac
import pytest
from distant_files import Files
from known_source import AREA
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.sentinel2.granule_angles import read_angles
from plumewatch.sentinel2.stack import fetch_scene

VIEW = """<Mean_Viewing_Incidence_Angle bandId="{}"><ZENITH_ANGLE unit="deg">{}</ZENITH_ANGLE>
<AZIMUTH_ANGLE unit="deg">104.2</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>"""
XML = """<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
<n1:Geometric_Info><Tile_Angles metadataLevel="Standard"><Sun_Angles_Grid><Zenith><VALUES>1 2</VALUES></Zenith>
</Sun_Angles_Grid><Mean_Sun_Angle><ZENITH_ANGLE unit="deg">33.6946</ZENITH_ANGLE>
<AZIMUTH_ANGLE unit="deg">151.1110</AZIMUTH_ANGLE></Mean_Sun_Angle><Mean_Viewing_Incidence_Angle_List>{}
</Mean_Viewing_Incidence_Angle_List></Tile_Angles></n1:Geometric_Info></n1:Level-2A_Tile_ID>"""
METADATA = XML.format("".join(VIEW.format(number, 4.0 + 0.25 * number) for number in range(13)))  # B11 6.75, B12 7.0


@pytest.fixture
def asked(item: pystac.Item, tmp_path: Path) -> Iterator[list[str]]:
    """What a server of the metadata was asked; the item has it as an asset and states no angle of the view."""
    seen: list[str] = []

    class Asked(Files):
        folder = tmp_path

        def do_GET(self) -> None:
            seen.append(self.command)
            super().do_GET()

    del item.properties["view:incidence_angle"]
    (tmp_path / "granule_metadata.xml").write_text(METADATA)
    with ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        href = f"http://127.0.0.1:{server.server_port}/granule_metadata.xml"
        item.add_asset("granule_metadata", pystac.Asset(href, media_type="application/xml"))
        yield seen
        server.shutdown()


def test_what_the_item_leaves_open_comes_from_the_granule_by_one_request(
    item: pystac.Item, asked: list[str], tmp_path: Path
) -> None:
    written = fetch_scene(item, AREA, str(tmp_path / "a"))
    found = storage.read_json(written)["properties"]
    assert found["view:incidence_angle"] == 6.875 and "granule's metadata" in found["plumewatch:view_zenith"]
    assert found["view:sun_elevation"] == 62.5 and found["plumewatch:sun"] == "as stated"
    for name in ("view:sun_elevation", "view:sun_azimuth"):
        del item.properties[name]
    written = fetch_scene(item, AREA, str(tmp_path / "b"))
    found = storage.read_json(written)["properties"]
    assert (found["view:sun_elevation"], found["view:sun_azimuth"]) == (56.3054, 151.111)
    assert "granule's metadata" in found["plumewatch:sun"] and asked == ["GET", "GET"]


def test_an_item_that_states_its_angles_needs_no_request(item: pystac.Item, asked: list[str], tmp_path: Path) -> None:
    item.properties["view:incidence_angle"] = 4.25
    written = fetch_scene(item, AREA, str(tmp_path / "a"))
    assert storage.read_json(written)["properties"]["view:incidence_angle"] == 4.25 and asked == []


@pytest.mark.parametrize("wrong", ["missing", "a page", "other units"])
def test_where_the_metadata_is_not_to_be_had_the_item_says_so_and_the_scene_is_stacked(
    item: pystac.Item, asked: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    file = tmp_path / "granule_metadata.xml"
    if wrong == "missing":
        file.unlink()
    else:
        file.write_text("<html>maintenance" if wrong == "a page" else METADATA.replace('unit="deg"', 'unit="rad"'))
    written = fetch_scene(item, AREA, str(tmp_path / "a"))
    found = storage.read_json(written)["properties"]
    assert "view:incidence_angle" not in found and "not stated by the source" in found["plumewatch:view_zenith"]
    assert "no angles of the granule: " in caplog.text and "granule_metadata.xml" in caplog.text


@pytest.mark.parametrize("changed", [("33.6946", "133"), ('bandId="12"', 'bandId="13"'), ('bandId="12"', 'bandId="1"')])
def test_metadata_without_an_angle_is_refused_by_name(changed: tuple[str, str]) -> None:
    with pytest.raises(InputError, match=r"tile\.xml: .*allowed: the metadata of a Sentinel-2 granule"):
        read_angles("tile.xml", METADATA.replace(*changed).encode(), ["B11", "B12"])
