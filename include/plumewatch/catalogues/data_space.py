"""Copernicus Data Space: its STAC API is open, its products are JPEG 2000 in an S3 service that wants keys of its own.

Source: https://documentation.dataspace.copernicus.eu/APIs/S3.html
"""

from __future__ import annotations

from fsspec import AbstractFileSystem

from plumewatch.errors import ConfigurationError
from plumewatch.rasters.access import Access

HOST = "stac.dataspace.copernicus.eu"
BUCKET = "s3://eodata/"
KEYS = "keys of a Copernicus Data Space account (https://eodata-s3keysmanager.dataspace.copernicus.eu)"
NAMES = ("CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY")


class EodataAccess(Access):
    """Opens s3://eodata at the Data Space by its own keys, and anything else as it is."""

    def __init__(self, endpoint: str, access_key: str | None, secret_key: str | None) -> None:
        """`endpoint` is CDSE_S3_ENDPOINT; the storage's AWS_* don't matter here, nor do these keys for it."""
        self._endpoint, self._key, self._secret = endpoint, access_key, secret_key

    @property
    def unset(self) -> list[str]:
        """Settings that are missing to read s3://eodata."""
        return [name for name, value in zip(NAMES, (self._key, self._secret), strict=True) if not value]

    def filesystem(self, href: str) -> tuple[AbstractFileSystem, str]:
        """As the base class; ConfigurationError where the keys for s3://eodata aren't set."""
        if not href.startswith(BUCKET):
            return super().filesystem(href)
        if unset := self.unset:
            raise ConfigurationError(f"{href}: {' and '.join(unset)} not set; allowed: {KEYS}")
        from plumewatch.storage.buckets import Buckets  # slow to import, and needed here alone

        fs = Buckets(
            key=self._key,
            secret=self._secret,
            endpoint_url=self._endpoint,
            config_kwargs={"s3": {"addressing_style": "path"}},
            keys_told=f"{' and '.join(NAMES)}, {KEYS}",
            use_listings_cache=False,
            default_fill_cache=False,
        )
        return fs, href.removeprefix("s3://")

    def connections(self, href: str) -> int:
        """As the base class: one of s3://eodata, so that four tasks have the four that an account may open."""
        return 1 if href.startswith(BUCKET) else super().connections(href)
