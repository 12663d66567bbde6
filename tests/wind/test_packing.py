"""What a store says of its own values is used or refused by name: order, unit, scale, offset, fill, type, epoch."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fetched_wind import HOUR, NOON, settings, stored
from plumewatch.errors import ServiceError
from plumewatch.models import FailedScene
from plumewatch.wind import era5
from plumewatch.wind.at_point import wind_at
from plumewatch.wind.product import requests_at
from plumewatch.wind.providers import fetch_wind
from wind_services import BLOSC, DAY, ERA5_HEIGHTS, ERA5_LAT, ERA5_LON, HOUR_ZERO, Answers, planted, served

LON, LAT = 29.1, -26.3
AXIS = {"zarr_format": 2, "compressor": None, "fill_value": None, "filters": None, "order": "C"}


def mirror(
    *,
    latitude: Any = ERA5_LAT,
    longitude: Any = ERA5_LON,
    hours: Any = None,
    time: dict[str, Any] | None = None,
    dtype: str = "<f4",
    pack: Callable[[Any], Any] = lambda values: values,
    attributes: dict[str, Any] | None = None,
    fill_value: Any = None,
    axis: dict[str, Any] | None = None,
) -> Answers:
    """A store in ARCO's form whose axes and packing are as given."""
    hours = np.arange(1_200_000) if hours is None else np.asarray(hours)
    axes = {"latitude": np.asarray(latitude, "<f8"), "longitude": np.asarray(longitude, "<f4"),
            "time": hours.astype("<i8")}  # fmt: skip
    first = HOUR_ZERO + int(hours[0]) * HOUR
    shape = [len(hours), 721, 1440]
    array = {**AXIS, "chunks": [1, 721, 1440], "compressor": BLOSC.get_config(), "dtype": dtype, "shape": shape}

    def answer(path: str, query: str) -> bytes | None:
        name, _, part = path.removeprefix("store/").rpartition("/")
        said: dict[str, Any] = {}
        if name in axes:
            said = {"time": {"units": "hours since 1900-01-01"} if time is None else time}.get(name, axis or {})
            if part == ".zarray":
                values = axes[name]
                said = {**AXIS, "dtype": values.dtype.str, "shape": [len(values)], "chunks": [500_000]}
            elif part != ".zattrs":
                piece = axes[name][int(part) * 500_000 :][:500_000]
                return bytes(np.pad(piece, (0, 500_000 - len(piece))).tobytes())
        elif part == ".zattrs":
            said = (attributes or {}) if name else {"valid_time_stop": "2025-09-01"}
        elif part == ".zarray":
            said = {**array, "fill_value": fill_value}
        elif name in ERA5_HEIGHTS:
            at = (first + int(part.split(".")[0]) * HOUR - DAY) / HOUR
            east, north = (np.asarray(longitude) + 180) % 360 - 180, np.asarray(latitude)[:, None]
            values = np.broadcast_to(planted(east, north, at, ERA5_HEIGHTS[name])["_v_" in name], (721, 1440))
            return bytes(BLOSC.encode(np.ascontiguousarray(pack(values)).astype(dtype)))
        else:
            return None
        return json.dumps(said).encode()

    return Answers(answer)


def fetched(root: str, answers: Answers, product: str = "era5") -> tuple[Any, list[FailedScene]]:
    failures: list[FailedScene] = []
    with served(answers) as service:
        requests = requests_at([LON], [LAT], [NOON])
        fetch_wind(settings(root, product, service, service), requests, failures.append)
    return wind_at(stored(root), LON, LAT, NOON), failures


def packed(scale: float, offset: float) -> Callable[[Any], Any]:
    return lambda values: np.rint((values - offset) / scale)


SERVED = {
    "as ARCO has it": {},
    "ascending latitude": {"latitude": ERA5_LAT[::-1]},
    "longitude from -180": {"longitude": ERA5_LON - 180},
    "both in another order": {"latitude": ERA5_LAT[::-1], "longitude": np.roll(ERA5_LON, 100)},
    "int16 with a scale": {"dtype": "<i2", "pack": packed(0.001, 0), "attributes": {"scale_factor": 0.001}},
    "int16 with both": {"dtype": ">i2", "pack": packed(0.002, 5),
                        "attributes": {"scale_factor": 0.002, "add_offset": 5}},
    "uint16": {"dtype": "<u2", "pack": packed(0.001, -30),
               "attributes": {"scale_factor": [0.001], "add_offset": -30.0}},
    "floats with an offset": {"pack": lambda values: values - 7, "attributes": {"add_offset": 7.0}},
    "float64, unit stated": {"dtype": "<f8", "attributes": {"units": "m s**-1"}},
    "from 1940": {"hours": 350640 + np.arange(800_000)},
    "ascending and packed": {"latitude": ERA5_LAT[::-1], "dtype": "<i4", "pack": packed(1e-4, 1),
                             "attributes": {"scale_factor": 1e-4, "add_offset": 1}},
}  # fmt: skip


@pytest.mark.parametrize("form", SERVED)
def test_a_mirror_in_any_stated_form_gives_the_same_wind(form: str, storage_root: str) -> None:
    found, failures = fetched(storage_root, mirror(**SERVED[form]))
    u, v = planted(LON, LAT, 12.0, 10.0)
    assert failures == [] and (found.wind_u_m_s, found.wind_v_m_s) == pytest.approx((float(u), float(v)), abs=3e-3)


REFUSED = {
    "knots": ({"attributes": {"units": "knots"}}, "knots"),
    "kilometres an hour": ({"attributes": {"units": "km h-1"}}, "km h-1"),
    "integers without a scale": ({"dtype": "<i2"}, "int16 without scale_factor"),
    "a scale that is none": ({"attributes": {"scale_factor": "none"}}, "scale_factor 'none'"),
    "a scale of zero": ({"attributes": {"scale_factor": 0.0}}, "scale_factor 0"),
    "two offsets": ({"attributes": {"add_offset": [1.0, 2.0]}}, "add_offset"),
    "unsigned by attribute": ({"attributes": {"_Unsigned": "true"}}, "_Unsigned"),
    "axes in another order": ({"attributes": {"_ARRAY_DIMENSIONS": ["time", "longitude", "latitude"]}}, "axes"),
    "other latitudes": ({"latitude": ERA5_LAT / 2}, "latitude: 721 places"),
    "longitudes in radians": ({"longitude": np.radians(ERA5_LON)}, "longitude: 1440 places"),
    "unit of the axis": ({"axis": {"units": "radians"}}, "units 'radians'"),
    "six-hourly": ({"hours": 6 * np.arange(300_000)}, "a time each hour"),
    "another calendar": ({"time": {"units": "hours since 1900-01-01", "calendar": "noleap"}}, "noleap"),
    "an epoch of words": ({"time": {"units": "hours since yesterday"}}, "yesterday"),
    "months": ({"time": {"units": "months since 1900-01-01"}}, "months since"),
    "the Julian calendar": ({"time": {"units": "hours since 1-1-1"}}, "hours since 1-1-1"),
    "another step": ({"time": {"units": "days since 1900-01-01"}}, "a time each hour"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_a_mirror_that_is_not_era5_is_refused_by_name(form: str, storage_root: str) -> None:
    changes, word = REFUSED[form]
    found, [failure] = fetched(storage_root, mirror(**changes))
    assert found is None and word in failure.message and "/store/" in failure.message and "allowed:" in failure.message
    assert failure.error_class == "InputError" and not failure.is_retryable


@pytest.mark.parametrize(
    ("fill", "attributes", "fill_value"),
    [
        (-32767, {"_FillValue": -32767}, None),
        (-32768, {"missing_value": -32768}, None),
        (32767, {}, 32767),
        (-1, {"_FillValue": [-1]}, 0),
        (-9999, {"_FillValue": -32767, "missing_value": -9999}, None),
    ],
)
def test_what_is_fill_is_no_wind(fill: int, attributes: dict[str, Any], fill_value: Any, storage_root: str) -> None:
    def pack(values: Any) -> Any:
        numbers = np.array(packed(0.001, 0)(values))
        numbers[:, 117] = fill  # 29.25 E
        return numbers

    stated = {"scale_factor": 0.001, **attributes}
    _, failures = fetched(storage_root, mirror(dtype="<i2", pack=pack, attributes=stated, fill_value=fill_value))
    rows = stored(storage_root)
    assert rows.num_rows > 50 and 29.25 not in rows["longitude"].to_pylist() and 29.0 in rows["longitude"].to_pylist()
    assert np.abs(rows["wind_u_m_s"].to_numpy()).max() < 10 and [f.error_class for f in failures] == ["NoWindYet"]


def geos_said(geos_fp: Answers, name: str, words: str) -> Answers:
    whole = geos_fp.answer

    def answer(path: str, query: str) -> bytes | None:
        said = whole(path, query)
        return said.replace(f"    {name} {{\n".encode(), f"    {name} {{\n{words}\n".encode()) if said else said

    return Answers(answer)


@pytest.mark.parametrize(
    ("name", "words", "found"),
    [
        ("v50m", 'String units "knots";', "units 'knots'"),
        ("u10m", "Float32 scale_factor 0.0;", "scale_factor 0"),
        ("u10m", 'Float32 add_offset "x";', "add_offset 'x'"),
        ("lat", "Float32 scale_factor 0.1;", "scale_factor 0.1"),
        ("lon", "Float32 add_offset 180.0;", "add_offset 180.0"),
        ("time", "Float64 scale_factor 24.0;", "scale_factor 24.0"),
    ],
)
def test_what_geos_fp_says_of_itself_is_refused_by_name(
    geos_fp: Answers, storage_root: str, name: str, words: str, found: str
) -> None:
    wind, [failure] = fetched(storage_root, geos_said(geos_fp, name, words), "geos_fp")
    assert wind is None and found in failure.message and name in failure.message


def test_hours_of_geos_fp_in_another_unit_are_refused(geos_fp: Answers, storage_root: str) -> None:
    whole = geos_fp.answer
    other = Answers(lambda path, query: (whole(path, query) or b"").replace(b"days since", b"hours since"))
    assert "hours since" in fetched(storage_root, other, "geos_fp")[1][0].message


def test_a_scale_and_an_offset_of_geos_fp_count(geos_fp: Answers, storage_root: str) -> None:
    said = "Float32 scale_factor 2.0;\nFloat32 add_offset 1.0;"
    wind, failures = fetched(storage_root, geos_said(geos_fp, "u10m", said), "geos_fp")
    u, v = planted(LON, LAT, 12.0, 10.0)
    assert failures == [] and (wind.wind_u_m_s, wind.wind_v_m_s) == pytest.approx((2 * u + 1, v), abs=5e-3)


@pytest.mark.parametrize("packed", [0, 15, 10**9])
def test_a_chunk_whose_header_lies_of_its_length_is_refused_before_blosc_believes_it(packed: int) -> None:
    numbers = np.arange(40, dtype="f4")
    chunk = bytearray(BLOSC.encode(numbers))
    objects = {".zarray": _array_of(numbers), "0": bytes(chunk)}
    np.testing.assert_array_equal(era5._unpacked(objects, slice(None), "x"), numbers)
    chunk[12:16] = packed.to_bytes(4, "little")
    with pytest.raises(ServiceError, match=r"x: \d+ bytes that can't be unpacked: its header says"):
        era5._unpacked({**objects, "0": bytes(chunk)}, slice(None), "x")
    chunk[4:8] = (2**31).to_bytes(4, "little")
    with pytest.raises(ServiceError, match="its header says"):
        era5._unpacked({**objects, "0": bytes(chunk)}, slice(None), "x")


def _array_of(numbers: np.ndarray) -> bytes:
    said = {"zarr_format": 2, "shape": list(numbers.shape), "chunks": list(numbers.shape), "dtype": "<f4", "order": "C",
            "fill_value": None, "filters": None, "compressor": BLOSC.get_config()}  # fmt: skip
    return json.dumps(said).encode()
