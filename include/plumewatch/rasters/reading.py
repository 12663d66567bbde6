"""Rasters opened wherever they are, so that one that cannot be read whole is an error with a name, never a hole.

GDAL tells little of why a remote file didn't open ("not recognized as being in a supported file format"), and
remembers that it didn't. So each opening has a name of its own, whose answers no other one sees (GDAL's setting for
that, CPL_VSIL_CURL_NON_CACHED, asks for a file's size twice), and after a failure the service is asked itself for the
file's first bytes.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import rasterio
import requests
from fsspec import AbstractFileSystem
from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader

from plumewatch import storage
from plumewatch.constants import LOWEST_BYTES_S
from plumewatch.errors import InputError, PlumewatchError, ServiceError, is_trouble, redact, trouble_on_the_way
from plumewatch.http import http_session, no_answer
from plumewatch.public_hosts import PublicHosts
from plumewatch.rasters.access import AS_IS, Access
from plumewatch.rasters.guarded_file import NAME, GuardedFile
from plumewatch.rasters.opener import Opener
from plumewatch.storage.files import is_there

T = TypeVar("T")

ATTEMPTS = 2  # a connection that broke midway looks like a truncated file; a truncated file looks so twice
PROBE_TIMEOUT_S = (10.0, 30.0)
PROBE_BYTES = 256  # more than what stands before the first tag of a page
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, CONFLICT, RANGE_NOT_SATISFIABLE = 400, 401, 403, 409, 416
MUST_BE_SIGNED = (UNAUTHORIZED, FORBIDDEN, CONFLICT)  # 409: Azure's PublicAccessNotPermitted, of Planetary Computer
SIGNED = re.compile(r"[?&](?:sig|x-amz-signature|signature|token|x-goog-signature)=", re.IGNORECASE)
AZURE = re.compile(r"^https?://[^/?]*\.blob\.core\.windows\.net[/:]", re.IGNORECASE)
SIGNED_BY = "https://planetarycomputer.microsoft.com/api/stac/v1"
A_RASTER = "a complete GeoTIFF"
DRIVERS = ["GTiff", "JP2OpenJPEG"]
"""Of GDAL, whatever a raster is called: others (VRT, WMS ...) read files and addresses that a content names."""
JPEG_2000 = (".jp2", ".j2k")
OF_READING = (RasterioError, CRSError, CPLE_BaseError, UnicodeDecodeError)
"""What reading pixels, tags and texts of an open raster raises where the file is damaged."""
PAGES = ("text/", "application/xml", "application/json", "application/xhtml")  # of maintenance, a proxy, a log-in

ONE_THREAD = {"GDAL_NUM_THREADS": 1}
"""OpenJPEG's others open the file anew by its name, where neither rasterio's opener nor these settings are known, and
say nothing of what they couldn't read: the pixels of all blocks but the first would be whatever memory held."""
REMOTE_ENVIRONMENT = {
    **ONE_THREAD,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no listing of the folder, no search for files beside it
    "GDAL_HTTP_CONNECTTIMEOUT": 10,
    "GDAL_HTTP_TIMEOUT": 120,
    "GDAL_HTTP_LOW_SPEED_TIME": 30,  # seconds: a host that is silent, or slower than this, isn't waited for longer
    "GDAL_HTTP_LOW_SPEED_LIMIT": int(LOWEST_BYTES_S),
    "GDAL_HTTP_MAX_RETRY": 3,  # of answers 429, 500, 502, 503, 504
    "GDAL_HTTP_RETRY_DELAY": 1,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
}

_OPENINGS = itertools.count()
_OPENING = re.compile(r"(?<=\S)#\d+\b")
"""The name of an opening, behind an address."""

log = logging.getLogger(__name__)


def _without_secrets(record: logging.LogRecord) -> bool:
    """Take the signatures out of what GDAL says of a request that it repeats: it names the address in full."""
    record.msg, record.args = redact(_OPENING.sub("", record.getMessage())), ()
    return True


logging.getLogger("rasterio._env").addFilter(_without_secrets)


@contextlib.contextmanager
def open_raster(href: str, access: Access = AS_IS) -> Iterator[DatasetReader]:
    """Yield the raster at `href` (http, https, s3, file or a path); reading that fails in the block is classified too.

    It is opened as `access` says, and named by its `href`.

    Raises ServiceError where a service doesn't deliver the file (with its HTTP status) or gives a page in its place
    (retryable), InputError where the file is missing, cut off or no raster. Other errors of the block are the block's.
    """
    with _opened(access.signed(href) if is_http(href) else href, access) as source:
        yield source


@contextlib.contextmanager
def _opened(address: str, access: Access) -> Iterator[DatasetReader]:
    """The raster at an address that is signed where it must be."""
    with contextlib.ExitStack() as stack:
        on_the_way: list[Exception] = []
        try:
            stack.enter_context(_environment(address))
            source = stack.enter_context(_open(address, access, on_the_way))
        except (PlumewatchError, MemoryError):
            raise
        except Exception as error:  # GDAL's and rasterio's own, and what they make of tags and texts
            if isinstance(error, OSError) and not isinstance(error, RasterioError):
                raise
            raise _classify(address, error, access, on_the_way) from error
        try:
            yield source
        except OF_READING as error:
            raise _classify(address, error, access, on_the_way) from error
        if on_the_way:  # a codec may make do with what it got
            told = _classify(address, on_the_way[0], access, on_the_way)
            raise told from (None if told is on_the_way[0] else on_the_way[0])


def read_raster(href: str, read: Callable[[DatasetReader], T], access: Access = AS_IS) -> T:
    """Return what `read` makes of the raster at `href`; a remote one is read a second time.

    That is so where it looks broken, and where the signature that `access` gave has expired meanwhile.
    """
    left, is_renewed = 1 if storage.is_local(href) else ATTEMPTS, False
    while True:
        address = access.signed(href) if is_http(href) else href
        try:
            with _opened(address, access) as source:
                return read(source)
        except InputError as error:
            left -= 1
            if not left:
                raise
            log.warning("read again: %s", error)
        except ServiceError as error:
            if is_renewed or error.http_status not in MUST_BE_SIGNED or not access.renew(href, address):
                raise
            is_renewed = True
            log.warning("read again with a new signature: %s", error)


def is_http(href: str) -> bool:
    """Whether `href` is fetched by HTTP."""
    return href.startswith(("http://", "https://"))


def _environment(href: str) -> rasterio.Env:
    if storage.is_local(href):
        return rasterio.Env(**ONE_THREAD)  # a local raster may have its position in a file beside it
    return rasterio.Env(**REMOTE_ENVIRONMENT)


def _open(href: str, access: Access, on_the_way: list[Exception]) -> DatasetReader:
    """Open a raster; what goes wrong on the way to a bucket, now or at a later read, is put into `on_the_way`."""
    if is_http(href):
        if access.guard is not None:
            return _open_by(GuardedFile(href, access.guard), NAME, href.partition("?")[0], on_the_way)
        return DatasetReader(f"/vsicurl/{href}#{next(_OPENINGS)}", driver=DRIVERS)  # what is behind # is never sent
    fs, inner = access.filesystem(href)
    if storage.is_local(href):
        return DatasetReader(inner, driver=DRIVERS)
    return _open_by(fs, inner, inner, on_the_way)


def _open_by(fs: AbstractFileSystem, path: str, name: str, on_the_way: list[Exception]) -> DatasetReader:
    """Open what a file system has, as what its name says, else as the other kind: rasterio.open takes one alone."""
    likely, other = reversed(DRIVERS) if name.lower().endswith(JPEG_2000) else DRIVERS
    try:
        return rasterio.open(path, driver=likely, opener=Opener(fs, on_the_way))
    except RasterioError:
        if on_the_way:
            raise
        return rasterio.open(path, driver=other, opener=Opener(fs, on_the_way))


def _classify(href: str, error: Exception, access: Access, on_the_way: list[Exception]) -> PlumewatchError:
    said = redact(str(error.__cause__ or error))
    if "\0" in href or not href.isprintable():
        return InputError(redact(href), "an address that cannot be one", A_RASTER)
    if refused := next((one for one in on_the_way if isinstance(one, PlumewatchError)), None):
        return refused
    if is_http(href):
        return _classify_http(href, said, access.guard)
    if trouble := next(filter(is_trouble, on_the_way), None):
        return trouble_on_the_way(href, trouble)
    if not is_there(*access.filesystem(href)):
        return InputError(redact(href), "no such file", A_RASTER)
    return InputError(redact(href), f"cut off or no raster ({said})", A_RASTER)


def _classify_http(href: str, said: str, guard: PublicHosts | None = None) -> PlumewatchError:
    shown = redact(href)
    try:
        # A GET of some bytes, not a HEAD: the signature of a signed URL holds for GET alone.
        asked = {"Range": f"bytes=0-{PROBE_BYTES - 1}"}
        with http_session(retries=0, guard=guard) as session:
            answer = session.get(href, headers=asked, stream=True, timeout=PROBE_TIMEOUT_S)
            status, kind = answer.status_code, answer.headers.get("Content-Type", "")
            start = b"" if status >= BAD_REQUEST else next(answer.iter_content(PROBE_BYTES), b"")
    except requests.RequestException as failure:
        return no_answer(href, failure)
    if status == RANGE_NOT_SATISFIABLE:
        return InputError(shown, "an empty file", A_RASTER)
    if status >= BAD_REQUEST:
        return ServiceError(f"{shown}: HTTP {status}{_hint(href, status)}", status)
    if kind.startswith(PAGES) or begins_as_page(start):
        return ServiceError(f"{shown}: a page of type {kind or 'unknown'} with HTTP {status}; allowed: {A_RASTER}")
    if match := re.search(r"HTTP response code: (\d{3})", said):  # it has recovered since
        return ServiceError(f"{shown}: HTTP {match[1]}", int(match[1]))
    if not start:
        return InputError(shown, "an empty file", A_RASTER)
    return InputError(shown, f"cut off or no raster ({said})", A_RASTER)


def begins_as_page(content: bytes) -> bool:
    """Whether a file begins as HTML, XML or JSON do, and no raster."""
    return content[:PROBE_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<", b"{"))


def _hint(href: str, status: int) -> str:
    """What to do about a refusal that a signature in the address would lift."""
    if status not in MUST_BE_SIGNED:
        return ""
    if SIGNED.search(href):
        return ": the signature in the address isn't accepted or has expired"
    what = "assets on Azure, as Planetary Computer's," if AZURE.search(href) else "this service's assets"
    return (
        f": {what} may have to be signed (a token in their addresses), which is done where stac_api is {SIGNED_BY}; "
        "allowed: that one, a catalogue of open assets, or one that hands out signed addresses"
    )
