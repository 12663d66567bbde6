"""An area that somebody draws or uploads: its cost first, then kept; refused with the reason where it can't be used."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely
from map_rows import NASTY
from plumewatch import areas, storage
from plumewatch.area_files import read_features
from plumewatch.areas import read_areas
from plumewatch.maps import new_areas

COST, ADD = "/data/operations/area/cost", "/data/operations/area"
DAYS = {"first": "2025-08-20", "last": "2025-09-06"}
SQUARE = shapely.box(5.95, 31.60, 6.05, 31.68)


def geojson(geometry: Any = SQUARE, **properties: Any) -> bytes:
    shape = geometry if isinstance(geometry, dict) else shapely.geometry.mapping(geometry)
    one = {"type": "Feature", "properties": {"name": "hassi", **properties}, "geometry": shape}
    return json.dumps({"type": "FeatureCollection", "features": [one]}).encode()


def body(content: bytes, file: str = "drawn.geojson", **more: Any) -> dict[str, Any]:
    return {"file": file, "content": base64.b64encode(content).decode(), **DAYS, **more}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is priced; a catalogue isn't asked here (tests/tools do)."""
    seen: list[Any] = []
    monkeypatch.setattr(new_areas, "cost_lines", lambda *given: seen.append(given) or ["7 scenes"])
    return seen


def kept(root: str) -> list[str]:
    return [file.rsplit("/", 1)[-1] for file in storage.list_files(f"{root}/areas") if "/." not in file]


def test_the_cost_is_shown_first_and_then_the_area_is_kept(
    client: Callable[..., Any], view_storage: str, asked: list[Any]
) -> None:
    user = client("user")
    answer = user.post(COST, json=body(geojson(note=NASTY, unheard_of=1)))
    assert answer.status_code == 200, answer.text
    priced = answer.json()
    assert priced["lines"] == [
        "hassi (stac): 487 x 458 cells of 20 m (89 km2), at most 13 MB a scene",
        "From 2025-08-20 to 2025-09-06:", "7 scenes",
    ]  # fmt: skip
    [(areas, first, last, _)] = asked
    assert [area.name for area in areas] == ["hassi"] and (str(first), str(last)) == tuple(DAYS.values())
    [outline] = priced["outlines"]["features"]
    assert shapely.geometry.shape(outline["geometry"]).equals_exact(SQUARE, 1e-6, normalize=True)
    assert kept(view_storage) == ["oman.geojson"]

    answer = user.post(ADD, json=body(geojson(max_cloud_cover=40)))
    assert answer.json() == {"names": ["hassi"], "path": "areas/hassi.geojson"}, answer.text
    [hassi] = [area for area in read_areas(f"{view_storage}/areas") if area.name == "hassi"]
    assert hassi.geometry.equals(SQUARE) and hassi.max_cloud_cover == 40
    stated = storage.read_json(f"{view_storage}/areas/hassi.geojson")["features"][0]["properties"]
    assert stated["note"].startswith("added on the operations page by the user, 20")
    assert [one["properties"]["name"] for one in user.get("/data/ch4/areas").json()["features"]] == ["hassi", "oman"]
    for path in (COST, ADD):
        again = user.post(path, json=body(geojson()))
        assert again.status_code == 422 and "area 'hassi' is there already" in again.json()["detail"]


def packed(tmp_path: Path, suffix: str, **more: bytes) -> bytes:
    """Two areas as a GeoPackage, or as a Shapefile in a zip."""
    frame = geopandas.GeoDataFrame(
        {"name": ["one", "two"], "max_cloud_cover": [40.0, 60.0]},
        geometry=[SQUARE, shapely.transform(SQUARE, lambda places: places + 1.0)], crs=4326,
    ).to_crs(32632)  # fmt: skip
    frame = frame.rename(columns={"max_cloud_cover": "max_cloud_"}) if suffix == ".shp" else frame
    file = tmp_path / f"areas{suffix}"
    frame.to_file(file)
    if suffix != ".shp":
        return file.read_bytes()
    with zipfile.ZipFile(into := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for part in sorted(tmp_path.glob("areas.*")):
            archive.write(part, f"folder/{part.name}")
        for name, content in more.items():
            archive.writestr(name, content)
    return into.getvalue()


@pytest.mark.parametrize(("suffix", "file"), [(".gpkg", "two.gpkg"), (".shp", "two.ZIP")])
def test_geopackages_and_zipped_shapefiles_are_taken(
    client: Callable[..., Any], view_storage: str, tmp_path: Path, suffix: str, file: str
) -> None:
    answer = client("user").post(ADD, json=body(packed(tmp_path, suffix), file))
    assert answer.json() == {"names": ["one", "two"], "path": "areas/one.geojson"}, answer.text
    found = {area.name: area for area in read_areas(f"{view_storage}/areas")}
    assert found["two"].max_cloud_cover == 60 and found["one"].geometry.hausdorff_distance(SQUARE) < 1e-6


BOWTIE = shapely.Polygon([(0, 0), (0.1, 0.1), (0.1, 0), (0, 0.1)])
EVIL = {"../../evil.geojson": b"{}", "folder/areas.shp/../../../evil.dbf": b"x", "/etc/evil.prj": b"x"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (body(geojson(), "../drawn.geojson"), "the uploaded file: another kind of file or name"),
        (body(geojson(), "..\\drawn.geojson"), "the uploaded file: another kind of file or name"),
        (body(geojson(), "drawn.py"), "allowed: a GeoJSON (.geojson, .json), a GeoPackage (.gpkg) or a zipped"),
        (body(geojson(), ".geojson"), "the uploaded file: another kind of file or name"),
        (body(geojson(name="../../evil")), "feature 1: name '../../evil'"),
        (body(geojson(BOWTIE)), "geometry that is not valid (Self-intersection"),
        (body(geojson(shapely.Point(6, 31))), "a Point; allowed: a Polygon or MultiPolygon"),
        (body(geojson(shapely.box(5, 31, 5.00001, 31.00001))), "smaller than a pixel"),
        (body(geojson(shapely.box(-170, -80, 170, 80))), "allowed:"),
        (body(geojson(stac_api="http://169.254.169.254/latest")), "feature 1: stac_api; allowed: files put into"),
        (body(geojson(evalscript="/etc/passwd")), "feature 1: evalscript; allowed: files put into"),
        (body(b"{", "broken.json"), "broken.json: "),
        (body(b"[" * 100_000, "deep.json"), "deep.json: "),
        (body(b"not a zip", "broken.zip"), "broken.zip: "),
        (body(b"not a database", "broken.gpkg"), "broken.gpkg: "),
        (body(b"x" * 2_000_001, "long.geojson"), "long.geojson: 2 MB; allowed: at most 2 MB"),
        (body(geojson()) | {"content": "no base64!"}, "content: allowed: base64"),
        (body(geojson()) | {"file": 1}, "file, content: allowed"),
        (body(geojson()) | {"first": "2020-01-01"}, "first, last: allowed: 1 to 366 days"),
        (body(geojson()) | {"first": "../.."}, "first, last: allowed: YYYY-MM-DD"),
        (body(json.dumps({"features": [json.loads(geojson())] * 21}).encode()), "21 areas; allowed: at most 20"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_no_area_is_refused_with_the_reason(
    client: Callable[..., Any], view_storage: str, asked: list[Any], given: dict[str, Any], reason: str
) -> None:
    user = client("user")
    for path in (COST, ADD) if "first" not in reason else (COST,):
        answer = user.post(path, json=given)
        assert answer.status_code == 422, answer.text
        assert reason in answer.json()["detail"] and "/tmp" not in answer.text and len(answer.text) < 1500
    assert kept(view_storage) == ["oman.geojson"] and asked == []


def test_a_name_is_taken_by_an_area_that_cannot_be_used_too(client: Callable[..., Any], view_storage: str) -> None:
    """Else both are refused, once the other is mended."""
    storage.write_bytes(f"{view_storage}/areas/broken.geojson", b"{")
    storage.write_bytes(f"{view_storage}/areas/bent.geojson", geojson(BOWTIE, name="crossed"))
    for copy in ("first", "second"):
        storage.write_bytes(f"{view_storage}/areas/{copy}.geojson", geojson(name="twice"))
    for name in ("broken", "crossed", "twice"):
        answer = client("user").post(ADD, json=body(geojson(name=name)))
        assert answer.status_code == 422 and f"area '{name}' is there already" in answer.json()["detail"]


def test_where_an_area_file_cannot_be_read_now_no_other_is_kept(
    client: Callable[..., Any], view_storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(file: str) -> Any:
        if file.endswith("oman.geojson"):
            raise TimeoutError(f"{file} took too long")
        return read_features(file)

    monkeypatch.setattr(areas, "read_features", read)
    answer = client("user").post(ADD, json=body(geojson()))
    assert answer.status_code == 503 and "names are taken isn't known" in answer.json()["detail"]
    assert kept(view_storage) == ["oman.geojson"]


def test_no_file_makes_the_server_read_another(client: Callable[..., Any], view_storage: str, tmp_path: Path) -> None:
    (tmp_path / "secret.geojson").write_bytes(geojson(name="secret"))
    source = f"<SrcDataSource>{tmp_path / 'secret.geojson'}</SrcDataSource><SrcLayer>secret</SrcLayer>"
    virtual = f'<OGRVRTDataSource><OGRVRTLayer name="a">{source}</OGRVRTLayer></OGRVRTDataSource>'.encode()
    with zipfile.ZipFile(into := io.BytesIO(), "w") as archive:
        archive.writestr("a.shp", virtual)
    for content, name in ((virtual, "a.gpkg"), (into.getvalue(), "a.zip")):
        answer = client("user").post(COST, json=body(content, name))
        assert answer.status_code == 422 and "secret" not in answer.text
        assert f"{name}: no " in answer.json()["detail"]
    with zipfile.ZipFile(into := io.BytesIO(), "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.shp", b"0" * 100)
    answer = client("user").post(COST, json=body(into.getvalue(), "a.zip"))
    assert answer.status_code == 422 and "packed by method 12" in answer.json()["detail"]


def test_a_zip_unpacks_to_nothing_else_and_not_to_more(
    client: Callable[..., Any], view_storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shape").mkdir()
    user, evil = client("user"), packed(tmp_path / "shape", ".shp", **EVIL)
    assert user.post(ADD, json=body(evil, "a.zip")).status_code == 200
    assert not list(Path("/tmp").glob("evil*")) and not list(tmp_path.rglob("evil*"))
    monkeypatch.setattr(new_areas, "MAX_UNPACKED_BYTES", 100)
    answer = user.post(ADD, json=body(evil, "a.zip"))
    assert answer.status_code == 422 and "a.zip: more than that unpacked; allowed" in answer.json()["detail"]


def test_who_may_start_nothing_adds_nothing(client: Callable[..., Any], view_storage: str, asked: list[Any]) -> None:
    for path in (COST, ADD):
        assert client("viewer").post(path, json=body(geojson())).status_code == 403
        headers = {"content-type": "application/json", "origin": "https://evil.example"}
        answer = client("admin").post(path, content=json.dumps(body(geojson())), headers=headers)
        assert answer.status_code == 403
        assert client("admin").post(
            path, content=b"x" * 3_000_000, headers=headers | {"origin": "null"}
        ).status_code in (403, 413)
    assert kept(view_storage) == ["oman.geojson"] and asked == []
