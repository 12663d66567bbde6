"""All settings, in one frozen object.

Precedence, first wins: an Airflow Connection (which the plugin looks up), the environment, the file `.env` of the
checkout, the default here. `.env.example` lists every name with unit and default.
"""

from __future__ import annotations

import math
import os
import re
from codecs import BOM_UTF8
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from plumewatch import storage
from plumewatch.constants import CHECKOUT
from plumewatch.errors import ConfigurationError, redact
from plumewatch.orbits import OCO2, SENSOR_NAMES

CMR = "cmr"
"""Stands for NASA's archive in PLUMEWATCH_GRANULES."""
FOREIGN_NAMES = {
    "earthdata_token": "EARTHDATA_TOKEN",
    "sh_client_id": "SH_CLIENT_ID",
    "sh_client_secret": "SH_CLIENT_SECRET",
    "sh_base_url": "SH_BASE_URL",
    "sh_token_url": "SH_TOKEN_URL",
    "pc_sas_url": "PC_SDK_SAS_URL",
    "pc_subscription_key": "PC_SDK_SUBSCRIPTION_KEY",
    "cdse_s3_endpoint": "CDSE_S3_ENDPOINT",
    "cdse_s3_access_key": "CDSE_S3_ACCESS_KEY",
    "cdse_s3_secret_key": "CDSE_S3_SECRET_KEY",
}
"""Settings whose names in the environment are those that other programs use too."""
OTHER_NAMES = {"sh_client_id": "SENTINEL_CLIENT_ID", "sh_client_secret": "SENTINEL_CLIENT_SECRET"}
"""Second names of settings, read where the first isn't set."""
PATHS = ("storage_root", "areas", "granules", "wind", "inventories", "emr_code")
"""Settings that may be a folder."""
HIDDEN = (
    "alert_to", "earthdata_token", "sh_client_id", "sh_client_secret", "sh_bucket_access_key", "sh_bucket_secret_key",
    "pc_subscription_key", "cdse_s3_access_key", "cdse_s3_secret_key",
)  # fmt: skip
OnProblem = Callable[[ConfigurationError], None]
"""Who is told of what can't be read, where the rest is to be read all the same."""
ALERT_CHANNELS = ("log", "smtp", "sns", "slack", "webhook")
NEWS_KINDS = NEW_SOURCE, RATE = "new_source", "rate"
"""What may make a detection news: it is the first of its source or place; it is strong."""
TILES = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?/[^\s\"'<>;]*")
"""Address of map tiles: its origin goes into a page's policy."""
NUMBERS = ("sh_monthly_units", "news_ch4_kg_h", "news_co2_kt_h", "news_days", "silent_days")
"""Settings that are a number above 0."""
ADDRESSES = (
    "stac_api", "pc_stac_api", "maxar_catalogue", "sh_base_url", "sh_token_url", "pc_sas_url", "cdse_s3_endpoint",
    "cmr_url", "geos_fp_url", "era5_url",
)  # fmt: skip
"""Settings that are the address of a service."""
EMR_SERVERLESS = "emr_serverless"
"""Stands for jobs of an EMR Serverless application in PLUMEWATCH_SPARK."""
SPARK_MASTERS = f"local[N], spark://host:7077, sc://host:15002, {EMR_SERVERLESS}"

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
QUOTED = re.compile(r"(?P<quote>[\"'])(?P<value>(?:(?!(?P=quote)).)*)(?P=quote)(?:\s+#.*|\s*)")
BARE = re.compile(r"(?![\"'])(?P<value>(?:(?<!\s)#|[^#])*?)(?:(?:^|\s+)#.*)?")
REFERENCE = re.compile(r"\$\{\w+\}|^\$\w+|\$\(|`")
ODD = re.compile(r"^[\u2018-\u201f\u00ab\u2039]|[\x00-\x08\x0b-\x1f\x7f]")  # quotes of a text program, controls


@dataclass(frozen=True)
class Settings:
    """What a run of the project needs to know about the place where it runs."""

    storage_root: str
    """PLUMEWATCH_STORAGE_ROOT: folder (file:///...) or s3://bucket/prefix that holds all tables."""
    spark: str = "local[*]"
    """PLUMEWATCH_SPARK: where Spark jobs run."""
    spark_cores: int | None = None
    """PLUMEWATCH_SPARK_CORES: cores of a local session; all where None."""
    spark_driver_memory: str = "1g"
    """PLUMEWATCH_SPARK_DRIVER_MEMORY: Java heap; the Python workers' memory comes on top."""
    spark_executor_memory: str = "2g"
    """PLUMEWATCH_SPARK_EXECUTOR_MEMORY: Java heap of an executor of a cluster."""
    emr_application: str | None = None
    """PLUMEWATCH_EMR_APPLICATION: id of the EMR Serverless application that runs the jobs."""
    emr_role: str | None = None
    """PLUMEWATCH_EMR_ROLE: ARN of the role that the jobs run as there."""
    emr_code: str | None = None
    """PLUMEWATCH_EMR_CODE: s3:// prefix of jobs, jars and Python, as `python -m tools.pack` leaves them; logs too."""
    alerts: tuple[str, ...] = ("log",)
    """PLUMEWATCH_ALERTS: channels of the alert digest."""
    alert_to: str | None = None
    """PLUMEWATCH_ALERT_TO: e-mail address, topic ARN, channel or URL, as the channel needs it."""
    news: tuple[str, ...] = ()
    """PLUMEWATCH_NEWS: which detections are told to the channels, new_source, rate or both; none by default."""
    news_ch4_kg_h: float | None = None
    """PLUMEWATCH_NEWS_CH4_KG_H: from which rate a plume is news by its rate; from any where None."""
    news_co2_kt_h: float | None = None
    """PLUMEWATCH_NEWS_CO2_KT_H: the same of a peak."""
    news_days: float = 120.0
    """PLUMEWATCH_NEWS_DAYS: what was observed longer ago is no news; a month of OCO-2 comes some two months late."""
    silent_days: float = 15.0
    """PLUMEWATCH_SILENT_DAYS: an area without a clear scene for so long is told; Sentinel-2 passes thrice in it."""
    map_tiles: str | None = None
    """PLUMEWATCH_MAP_TILES: address of map tiles ({z}, {x}, {y}) behind the map in Airflow's UI; None: none, and nobody
    but the server is asked."""
    map_tiles_attribution: str | None = None
    """PLUMEWATCH_MAP_TILES_ATTRIBUTION: whose they are, as their licence wants it said."""
    areas: str | None = None
    """PLUMEWATCH_AREAS: folder of areas of interest beside `<storage root>/areas/`; None: include/areas."""
    stac_api: str = "https://earth-search.aws.element84.com/v1"
    """PLUMEWATCH_STAC_API: catalogue of areas that name none (Earth Search by Element 84, no account)."""
    pc_stac_api: str = "https://planetarycomputer.microsoft.com/api/stac/v1"
    """PLUMEWATCH_PC_STAC_API: where multi_sensor_collection finds Landsat and Sentinel-1 (Planetary Computer)."""
    maxar_catalogue: str = "https://maxar-opendata.s3.amazonaws.com/events/catalog.json"
    """PLUMEWATCH_MAXAR_CATALOGUE: static catalogue of WorldView's open images (Maxar Open Data, no account)."""
    sh_client_id: str | None = None
    """SH_CLIENT_ID, or SENTINEL_CLIENT_ID: OAuth client of a Sentinel Hub account, for areas of that catalogue."""
    sh_client_secret: str | None = None
    """SH_CLIENT_SECRET, or SENTINEL_CLIENT_SECRET: the secret of that client."""
    sh_base_url: str = "https://services.sentinel-hub.com"
    """SH_BASE_URL: the service; https://sh.dataspace.copernicus.eu for an account of the Copernicus Data Space."""
    sh_token_url: str | None = None
    """SH_TOKEN_URL: where its tokens come from; None: what belongs to one of the two services."""
    sh_monthly_units: float = 10_000.0
    """PLUMEWATCH_SH_MONTHLY_UNITS: processing units that a calendar month (UTC) has; the default is the free tier of
    the Copernicus Data Space (documentation.dataspace.copernicus.eu/Quotas.html)."""
    sh_bucket_role: str | None = None
    """PLUMEWATCH_SH_BUCKET_ROLE: ARN of the role by which Sentinel Hub reads and writes the storage's bucket."""
    sh_bucket_access_key: str | None = None
    """PLUMEWATCH_SH_BUCKET_ACCESS_KEY: key that is sent to Sentinel Hub for that where there is no role."""
    sh_bucket_secret_key: str | None = None
    """PLUMEWATCH_SH_BUCKET_SECRET_KEY: its secret."""
    pc_sas_url: str = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
    """PC_SDK_SAS_URL: who signs addresses of rasters where the catalogue is Planetary Computer's."""
    pc_subscription_key: str | None = None
    """PC_SDK_SUBSCRIPTION_KEY: key of an account there, which is granted more signatures; none is needed."""
    cdse_s3_endpoint: str = "https://eodata.dataspace.copernicus.eu"
    """CDSE_S3_ENDPOINT: the S3 service behind s3://eodata, where the Copernicus Data Space has its products."""
    cdse_s3_access_key: str | None = None
    """CDSE_S3_ACCESS_KEY: key of a Data Space account; without it nothing of s3://eodata is read."""
    cdse_s3_secret_key: str | None = None
    """CDSE_S3_SECRET_KEY: its secret."""
    granules: str = CMR
    """PLUMEWATCH_GRANULES: `cmr`, or a folder or prefix of Lite files."""
    oco_sensors: tuple[str, ...] = (OCO2,)
    """PLUMEWATCH_OCO_SENSORS: whose Lite files are searched where granules is `cmr` (`oco2,oco3`)."""
    cmr_url: str = "https://cmr.earthdata.nasa.gov"
    """PLUMEWATCH_CMR_URL: NASA's catalogue, asked where granules is `cmr`; another one is trusted with the token."""
    earthdata_token: str | None = None
    """EARTHDATA_TOKEN: bearer token of a NASA Earthdata account, to download granules with."""
    wind: str | None = None
    """PLUMEWATCH_WIND: products in the order in which they are asked (`geos_fp,era5`), or a folder or prefix of wind
    files; of several that know a wind the nearest in space and time is taken; None: no wind, no rates of methane."""
    geos_fp_url: str = "https://opendap.nccs.nasa.gov/dods/GEOS-5/fp/0.25_deg/assim"
    """PLUMEWATCH_GEOS_FP_URL: OPeNDAP folder of the GEOS-FP analyses (NASA NCCS, no account)."""
    era5_url: str = "https://storage.googleapis.com/gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3"
    """PLUMEWATCH_ERA5_URL: Zarr store of ARCO-ERA5 (Google Cloud Storage, no account)."""
    inventories: str | None = None
    """PLUMEWATCH_INVENTORIES: folder or prefix with inventory files."""

    def __post_init__(self) -> None:
        _check_alerts(self.alerts)
        _check_sensors(self.oco_sensors)
        _check_news(self.news)
        if self.map_tiles:
            _check_tiles(self.map_tiles)
        for name in PATHS:
            if path := getattr(self, name):
                try:
                    object.__setattr__(self, name, storage.stated_path(path))  # a path from here on: decoded once
                except ConfigurationError as error:
                    raise ConfigurationError(f"{environment_name(name)}: {error}") from error

    @classmethod
    def load(cls, on_problem: OnProblem | None = None) -> Settings:
        """Return the settings that hold now; read inside a task, and when a DAG file is parsed for its form alone.

        Raises ConfigurationError for the first value, or line of `.env`, that can't be read. With `on_problem` it is
        told of each, and the default stands in its place.
        """
        found = {**read_dotenv(CHECKOUT / ".env", on_problem), **os.environ}
        values: dict[str, object] = {}
        for field in fields(cls):
            names = (environment_name(field.name), OTHER_NAMES.get(field.name, ""))
            if text := next((text for name in names if (text := found.get(name, "").strip())), ""):
                try:
                    values[field.name] = _value(field.name, text)
                except ConfigurationError as error:
                    _tell_or_raise(error, on_problem)
        values.setdefault("storage_root", (CHECKOUT / "storage").as_uri())
        return cls(**values)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        shown = (f"{n}={'***' if n in HIDDEN and v else redact(repr(v))}" for n, v in values)
        return f"Settings({', '.join(shown)})"

    def table_root(self, table: str) -> str:
        """Return the root of a table, or of another folder of the storage."""
        return storage.join(self.storage_root, table)

    @property
    def area_folders(self) -> tuple[str, ...]:
        """Where areas of interest are looked for; each folder once, whatever the settings call it."""
        folders = (self.areas or str(CHECKOUT / "include" / "areas"), self.table_root("areas"))
        by_place = {storage.inner_path(folder).rstrip("/"): folder for folder in reversed(folders)}
        return tuple(reversed(by_place.values()))


def _value(field: str, text: str) -> object:
    """What the text of a setting means."""
    if field == "alerts":
        return _check_alerts(_parts(text))
    if field == "oco_sensors":
        return _check_sensors(_parts(text))
    if field == "spark_cores":
        if not (text.isascii() and text.isdigit()) or int(text) < 1:
            raise ConfigurationError(f"PLUMEWATCH_SPARK_CORES: {text!r}; allowed: a number of at least 1")
        return int(text)
    if field == "news":
        return _check_news(_parts(text))
    if field in NUMBERS:
        return _positive(environment_name(field), text)
    if field in ADDRESSES and (flaw := address_flaw(text)):
        found = f"{environment_name(field)}: {redact(text)!r}: {flaw}"
        raise ConfigurationError(f"{found}; allowed: an address such as https://host/v1, without quotes")
    return text


def _positive(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ConfigurationError(f"{name}: {text!r}; allowed: a number above 0")
    return number


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _check_sensors(sensors: tuple[str, ...]) -> tuple[str, ...]:
    if not sensors or set(sensors) - set(SENSOR_NAMES):
        raise ConfigurationError(f"PLUMEWATCH_OCO_SENSORS: {', '.join(sensors)}; allowed: {', '.join(SENSOR_NAMES)}")
    return sensors


def _check_tiles(address: str) -> None:
    if not TILES.fullmatch(address) or not all(place in address for place in ("{z}", "{x}", "{y}")):
        raise ConfigurationError("PLUMEWATCH_MAP_TILES: allowed: an address such as https://host/{z}/{x}/{y}.png")


def _check_news(kinds: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := sorted(set(kinds) - set(NEWS_KINDS)):
        raise ConfigurationError(f"PLUMEWATCH_NEWS: {unknown}; allowed: {', '.join(NEWS_KINDS)}")
    return kinds


def _check_alerts(channels: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := sorted(set(channels) - set(ALERT_CHANNELS)):
        raise ConfigurationError(f"PLUMEWATCH_ALERTS: {unknown}; allowed: {', '.join(ALERT_CHANNELS)}")
    return channels


def _tell_or_raise(error: ConfigurationError, on_problem: OnProblem | None) -> None:
    if on_problem is None:
        raise error
    on_problem(error)


def address_flaw(address: str) -> str | None:
    """Return why an address can't be a service's, None where it can.

    >>> address_flaw("https://host:8080/v1"), address_flaw("ftp://host"), address_flaw("http://a host/v1")
    (None, 'no http:// or https:// with a host', 'a blank or a control character in it')
    """
    try:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            return "no http:// or https:// with a host"
    except ValueError as error:  # of a port, of brackets that don't close
        return str(error)
    return None if address.isprintable() and " " not in address else "a blank or a control character in it"


def environment_name(field: str) -> str:
    """Return the name of a setting in the environment and in `.env`."""
    return FOREIGN_NAMES.get(field, f"PLUMEWATCH_{field.upper()}")


def export_aws_settings() -> None:
    """Put the AWS_* lines of `.env` into the environment, where S3 clients look; what is set there already stays."""
    for name, value in read_dotenv(CHECKOUT / ".env").items():
        if name.startswith("AWS_"):
            os.environ.setdefault(name, value)


def read_dotenv(path: Path, on_problem: OnProblem | None = None) -> dict[str, str]:
    """Return the `NAME=value` lines of a file; no such file is empty.

    As a shell reads them: `export` before a name, quotes around a value and a comment behind it (` # ...`) are no part
    of the value, nor are a byte order mark and line ends of Windows of the file. Raises ConfigurationError by line for
    anything else, `$NAME` too, which nothing here replaces; the line itself isn't shown, as it may hold a secret.
    With `on_problem` it is told of each such line, and the others are returned.
    """
    if not path.is_file():
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(re.split(rb"\r\n|\n|\r", path.read_bytes().removeprefix(BOM_UTF8)), 1):
        try:
            values |= _dotenv_line(line, f"{path}:{number}")
        except ConfigurationError as error:
            _tell_or_raise(error, on_problem)
    return values


def _dotenv_line(content: bytes, where: str) -> dict[str, str]:
    """The name and value of a line, nothing of an empty one or a comment."""
    try:
        line = content.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{where}: not UTF-8 ({error.reason}); allowed: text in UTF-8") from error
    if not line.strip() or line.lstrip().startswith("#"):
        return {}
    name, separator, value = line.partition("=")
    name = re.sub(r"^export\s+", "", name.strip())
    if not separator or not NAME.fullmatch(name):
        found = f"a name {name!r}" if separator else "no ="
        raise ConfigurationError(f"{where}: {found}; allowed: NAME=value and lines that start with #")
    return {name: _dotenv_value(value.strip(), f"{where}: {name}")}


def _dotenv_value(text: str, where: str) -> str:
    """The value that the right side of a line means; `where` is named in errors."""
    match = QUOTED.fullmatch(text) or BARE.fullmatch(text)
    if odd := ODD.search(text):
        raise ConfigurationError(f"{where}: a character {odd[0]!r}; allowed: straight quotes, no control characters")
    if match is None:
        allowed = "a value without them, or one quoted from its beginning to its end, and then a comment behind a space"
        raise ConfigurationError(f"{where}: quotes that don't enclose the value; allowed: {allowed}")
    value = match["value"].strip() if match.re is BARE else match["value"]
    if not text.startswith("'") and REFERENCE.search(value):
        allowed = "the value itself, or 'single quotes' where the $ or ` is a part of it"
        raise ConfigurationError(f"{where}: a variable or command in it, which isn't replaced; allowed: {allowed}")
    return value
