"""GEOS-FP's OPeNDAP server and ARCO-ERA5's Zarr store on loopback, in their real formats, with planted wind."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import numcodecs
import numpy as np

Wind = Callable[[Any, Any, Any, float], tuple[Any, Any]]
"""From longitude in [-180, 180), latitude, hours since 2025-08-31 and height in metres to u and v."""

DAY = datetime(2025, 8, 31, tzinfo=UTC)
UNDEFINED = 1e15


def planted(longitude: Any, latitude: Any, hours: Any, height_m: float) -> tuple[Any, Any]:
    """Linear in latitude and time, smooth around the globe, and different at each height."""
    smooth = np.cos(np.radians(np.asarray(longitude)))
    return 3 * smooth + 0.05 * latitude + 0.1 * hours + height_m / 100, -2 * smooth + 0.02 * latitude - 0.05 * hours


class Answers:
    """What a service answers; the addresses that it was asked for, in their order."""

    def __init__(self, answer: Callable[[str, str], bytes | None]) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.refusals: list[int] = []
        """Statuses that the next requests get."""
        self.cut_off = False
        """Answers end in the middle of what their header announces."""
        self.url = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """For one server."""
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = unquote(self.path).partition("?")
                answers.asked.append(self.path)
                if answers.refusals:
                    self._send(answers.refusals.pop(0), b"busy")
                    return
                content = answers.answer(path.lstrip("/"), query)
                self._send(404 if content is None else 200, content or b"")

            def _send(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if answers.cut_off else content)

            def log_message(self, format: str, *args: Any) -> None:
                """Tests are silent."""

        return Handler


@contextmanager
def served(answers: Answers) -> Iterator[Answers]:
    """Serve the answers on a free port of loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers.handler())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    answers.url = f"http://127.0.0.1:{server.server_port}/store"
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- GEOS-FP as the GrADS Data Server of NCCS answers

FIRST = datetime(2017, 12, 1, 0, 30, tzinfo=UTC)
FIRST_DAY = 736665 + 0.5 / 24  # 2017-12-01 00:30 in the server's days
LONGITUDES, LATITUDES = -180 + 0.3125 * np.arange(1152), -90 + 0.25 * np.arange(721)
GEOS_HEIGHTS = {"u10m": 10.0, "v10m": 10.0, "u50m": 50.0, "v50m": 50.0}
DAS = """Attributes {{
    NC_GLOBAL {{
        String title "GEOS-5 2d time-averaged primary near-surface fields";
        String Conventions "COARDS";
        String dataType "Grid";
    }}
    time {{
        String grads_dim "t";
        String grads_mapping "linear";
        String grads_size "{count}";
        String grads_min "00:30z01dec2017";
        String grads_step "60mn";
        String units "days since 1-1-1 00:00:0.0";
        String long_name "time";
        String minimum "00:30z01dec2017";
        Float32 resolution 0.041666668;
    }}
    lat {{
        String grads_dim "y";
        String grads_mapping "linear";
        String grads_size "721";
        String units "degrees_north";
        Float64 minimum -90.0;
        Float64 maximum 90.0;
        Float32 resolution 0.25;
    }}
    lon {{
        String grads_dim "x";
        String grads_mapping "linear";
        String grads_size "1152";
        String units "degrees_east";
        Float64 minimum -180.0;
        Float64 maximum 179.6875;
        Float32 resolution 0.3125;
    }}
{variables}}}
"""
VARIABLE = "    {name} {{\n        Float32 _FillValue 1.0E15;\n        Float32 missing_value 1.0E15;\n    }}\n"


def geos_fp(last: datetime, wind: Wind = planted, missing: tuple[datetime, ...] = ()) -> Answers:
    """The collection from December 2017 to `last`; hours that are `missing` are undefined, as a hole in the files."""
    count = round((last - FIRST) / timedelta(hours=1)) + 1

    def answer(path: str, query: str) -> bytes | None:
        dataset, _, kind = path.rpartition(".")
        if not dataset.endswith("/tavg1_2d_slv_Nx"):
            return None
        if kind == "das":
            return DAS.format(count=count, variables="".join(VARIABLE.format(name=n) for n in GEOS_HEIGHTS)).encode()
        everything = {"time": count, "lat": 721, "lon": 1152}
        if not query:
            arrays = [f"{name}[0:1:{size - 1}]" for name, size in everything.items()]
            query = ",".join([*(n + "".join(a[a.index("[") :] for a in arrays) for n in GEOS_HEIGHTS), *arrays])
        parts = [_selection(part, everything) for part in query.split(",")]
        if any(steps[0].stop > count for name, steps in parts if name not in ("lat", "lon")):
            return b'Error {\n    code = 0;\n    message = "subset is out of range";\n};\n'
        declared = f"Dataset {{\n{''.join(_declared(*part) for part in parts)}}} tavg1_2d_slv_Nx;\n".encode()
        return declared if kind == "dds" else declared + b"Data:\n" + b"".join(_content(*part) for part in parts)

    def _selection(part: str, everything: dict[str, int]) -> tuple[str, list[slice]]:
        name, ranges = part.split("[")[0], re.findall(r"\[(\d+)(?::1)?(?::(\d+))?\]", part)
        steps = [slice(int(a), int(b or a) + 1) for a, b in ranges]
        sizes = everything.values() if name.partition(".")[0] in GEOS_HEIGHTS else [everything[name]]
        return name, steps or [slice(0, size) for size in sizes]

    def _declared(name: str, steps: list[slice]) -> str:
        lengths = [step.stop - step.start for step in steps]
        if name in ("time", "lat", "lon"):
            return f"    Float64 {name}[{name} = {lengths[0]}];\n"
        name, _, array_only = name.partition(".")
        sizes = dict(zip(("time", "lat", "lon"), lengths, strict=True))
        shape = "".join(f"[{n} = {size}]" for n, size in sizes.items())
        if array_only:
            return f"    Structure {{\n        Float32 {name}{shape};\n    }} {name};\n"
        maps = "".join(f"        Float64 {n}[{n} = {size}];\n" for n, size in sizes.items())
        return f"    Grid {{\n      ARRAY:\n        Float32 {name}{shape};\n      MAPS:\n{maps}    }} {name};\n"

    def _content(name: str, steps: list[slice]) -> bytes:
        whole = {"time": FIRST_DAY + np.arange(count) / 24, "lat": LATITUDES, "lon": LONGITUDES}
        if name in whole:
            return _xdr(whole[name][steps[0]], ">f8")
        name, _, array_only = name.partition(".")
        index, lat, lon = np.arange(steps[0].start, steps[0].stop), LATITUDES[steps[1]], LONGITUDES[steps[2]]
        hours = index + (FIRST - DAY) / timedelta(hours=1)
        components = wind(lon, lat[:, None], hours[:, None, None], GEOS_HEIGHTS[name])
        values = np.broadcast_to(components[name.startswith("v")], (len(index), len(lat), len(lon))).copy()
        values[np.isin(hours, [(at - DAY) / timedelta(hours=1) for at in missing])] = UNDEFINED
        maps = [] if array_only else [_xdr(whole[n][step], ">f8") for n, step in zip(whole, steps, strict=True)]
        return b"".join([_xdr(values, ">f4"), *maps])

    return Answers(answer)


def _xdr(values: Any, dtype: str) -> bytes:
    return np.array([values.size, values.size], ">u4").tobytes() + np.ascontiguousarray(values, dtype).tobytes()


# --- ARCO-ERA5 as Google Cloud Storage answers

ERA5_HEIGHTS = {f"{h}m_{c}_component_of_wind": float(h) for h in (10, 100) for c in "uv"}
BLOSC = numcodecs.Blosc(cname="lz4", clevel=5, shuffle=1)
ZARRAY = {
    "chunks": [1, 721, 1440], "compressor": BLOSC.get_config(), "dtype": "<f4", "fill_value": "NaN", "filters": None,
    "order": "C", "shape": [1323648, 721, 1440], "zarr_format": 2,
}  # fmt: skip
ERA5_LON, ERA5_LAT = 0.25 * np.arange(1440), 90 - 0.25 * np.arange(721)
HOUR_ZERO = datetime(1900, 1, 1, tzinfo=UTC)


def era5(last_day: str, wind: Wind = planted, missing: tuple[datetime, ...] = ()) -> Answers:
    """The store with preliminary hours until the end of `last_day`; chunks of `missing` hours don't exist."""
    objects = {
        ".zattrs": {
            "valid_time_start": "1940-01-01", "last_updated": "2025-09-08 02:18:01.385142+00:00",
            "valid_time_stop": "2025-05-31", "valid_time_stop_era5t": last_day,
        },
        "time/.zattrs": {"_ARRAY_DIMENSIONS": ["time"], "calendar": "proleptic_gregorian",
                         "units": "hours since 1900-01-01"},
        **{f"{name}/.zarray": ZARRAY for name in ERA5_HEIGHTS},
    }  # fmt: skip

    def answer(path: str, query: str) -> bytes | None:
        key = path.removeprefix("store/")
        if key in objects:
            return json.dumps(objects[key]).encode()
        name, _, chunk = key.partition("/")
        if name not in ERA5_HEIGHTS or not re.fullmatch(r"\d+\.0\.0", chunk):
            return None
        at = HOUR_ZERO + timedelta(hours=int(chunk.split(".")[0]))
        if at in missing or f"{at:%Y-%m-%d}" > last_day:
            return None
        hours = (at - DAY) / timedelta(hours=1)
        components = wind((ERA5_LON + 180) % 360 - 180, ERA5_LAT[:, None], hours, ERA5_HEIGHTS[name])
        values = np.broadcast_to(components["_v_" in name], (721, 1440)).astype("<f4")
        return bytes(BLOSC.encode(np.ascontiguousarray(values)))

    return Answers(answer)
