"""A raster on the web, read by our own HTTP: where GDAL's, which asks whomever it is sent to, is not to be used."""

from __future__ import annotations

import re
from typing import Any

import requests
from fsspec import AbstractFileSystem
from fsspec.spec import AbstractBufferedFile

from plumewatch.errors import InputError, ServiceError, redact
from plumewatch.http import ask, make_patient, no_answer
from plumewatch.public_hosts import PublicHosts

NAME = "raster"
"""What the one file is called, whatever its address."""
BLOCK_BYTES = 2**18  # asked for at once: two tiles of 256 pixels in 16 bits, or a header with its list of tiles
BLOCKS_KEPT = 64
RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
PARTIAL, RANGE_NOT_SATISFIABLE = 206, 416


class GuardedFile(AbstractFileSystem):
    """A file system with one file, NAME: what is at an address, in blocks, from where a guard allows it."""

    cachable = False

    def __init__(self, url: str, guard: PublicHosts) -> None:
        super().__init__()
        self._url, self.session = url, requests.Session()
        make_patient(self.session, guard=guard)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, type and size (bytes); FileNotFoundError for all that isn't there."""
        if path != NAME:
            raise FileNotFoundError(path)
        return {"name": path, "type": "file", "size": self.fetch(0, 1)[1]}

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **_: Any) -> _Blocks:
        return _Blocks(
            self, path, "rb", block_size=BLOCK_BYTES, cache_type="blockcache", cache_options={"maxblocks": BLOCKS_KEPT}
        )

    def fetch(self, start: int, end: int) -> tuple[bytes, int]:
        """Return the bytes from `start` to before `end`, and how many the file has.

        Raises ServiceError where they are not delivered, InputError where the address may not be asked or the service
        delivers no parts of files.
        """
        asked = {"Range": f"bytes={start}-{end - 1}"}
        with ask(self.session, self._url, headers=asked, stream=True) as answer:
            if answer.status_code == requests.codes.not_found:
                raise FileNotFoundError(redact(self._url))
            if answer.status_code == RANGE_NOT_SATISFIABLE:
                raise InputError(redact(self._url), "an empty file", "a complete GeoTIFF")
            if not answer.ok:
                raise ServiceError(f"{redact(self._url)}: HTTP {answer.status_code}", answer.status_code)
            stated = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if answer.status_code != PARTIAL or stated is None:
                found = f"HTTP {answer.status_code} to a request for a part"
                raise InputError(redact(self._url), found, "a service that delivers parts of files (HTTP 206)")
            try:
                content = answer.content
            except requests.RequestException as error:
                raise no_answer(self._url, error) from error
            first, last, size = (int(stated[n]) for n in (1, 2, 3))
            if first != start or last >= end or len(content) != last - first + 1:
                found = f"bytes {first} to {last} ({len(content)}) to a request for {start} to {end - 1}"
                raise InputError(redact(self._url), found, "the part that was asked for")
            return content, size


class _Blocks(AbstractBufferedFile):
    fs: GuardedFile

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.fetch(start, end)[0]

    def close(self) -> None:
        """Close the connections too."""
        super().close()
        self.fs.session.close()
