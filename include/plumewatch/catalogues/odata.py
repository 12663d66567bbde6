"""Copernicus Data Space's OData catalogue: whole products (`...SAFE`), whose files are told apart by their names.

The answer to a search lists products, not files: those are listed in the bucket, with the account's keys, when a scene
is read. Sources: https://documentation.dataspace.copernicus.eu/APIs/OData.html and its release notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

import pystac
import requests
import shapely

from plumewatch.catalogues.catalogue import without_endless_pages
from plumewatch.catalogues.data_space import BUCKET
from plumewatch.constants import LISTED
from plumewatch.errors import InputError, ServiceError, reading, redact
from plumewatch.geodesy import split_at_180
from plumewatch.http import MAX_MESSAGE, SEARCH_TIMEOUT_S, http_session, no_answer
from plumewatch.keys import is_file_name
from plumewatch.models import DEFAULT_COLLECTION
from plumewatch.rasters.access import Access

PATH = re.compile(r"/odata/v1(/Products)?/?$")
OWN_COLLECTION, PRODUCT_TYPE, SUFFIX = "SENTINEL-2", "S2MSI2A", ".SAFE"
COLLECTIONS = (DEFAULT_COLLECTION, OWN_COLLECTION)
"""By which an area may name its products of level 2A."""
PAGE_PRODUCTS = 200  # the service grants 1000, and 10,000 that are skipped
PRODUCT = "a product of Sentinel-2's level 2A in an OData catalogue"
FILES = "GRANULE/.../IMG_DATA/R20m/T..._B11_20m.jp2, ..._B12_20m.jp2 and ..._SCL_20m.jp2"
OF_PRODUCT = re.compile(
    r"/GRANULE/[^/]+/(?:IMG_DATA/(?:R\d+m/)?(?:L2A_)?T\w+_(?P<band>B\d[\dA]|SCL)_(?P<size>\d\dm)\.jp2"
    r"|QI_DATA/MSK_(?P<cloud>CLD)PRB_20m\.jp2|(?P<metadata>MTD_TL\.xml))$"
)
UNREADABLE = "plumewatch:unreadable"
"""Of an item, why its product can't be one: the others of the search go on."""


def is_odata(url: str) -> bool:
    """Return whether an address is that of an OData catalogue.

    >>> is_odata("https://catalogue.dataspace.copernicus.eu/odata/v1/Products"), is_odata("https://host/v1")
    (True, False)
    """
    return PATH.search(urlsplit(url).path) is not None


@dataclass(frozen=True)
class ODataCatalogue:
    """The products of Sentinel-2's level 2A in an OData catalogue (`Catalogue`)."""

    address: str
    """Of the service, up to `/odata/v1` or its `/Products`."""
    collection: str
    """What the area calls them, one of COLLECTIONS."""
    access: Access
    """How the bucket of its products is opened."""

    @property
    def url(self) -> str:
        """Where products are asked for."""
        return PATH.sub("/odata/v1/Products", self.address)

    def search_items(self, geometry: Any, start: date, end: date) -> Iterator[dict[str, Any]]:
        """Yield the products around a geometry as items, each part of it asked for by the box around it.

        Raises ServiceError (retryable unless the service refuses the request) and InputError where the answer is none.
        """
        for part in shapely.get_parts(split_at_180(geometry)):
            place = shapely.to_wkt(shapely.box(*part.bounds), rounding_precision=6)
            query = {
                "$filter": f"Collection/Name eq '{OWN_COLLECTION}'"
                f" and Attributes/OData.CSC.StringAttribute/any(att:att/Name eq 'productType'"
                f" and att/OData.CSC.StringAttribute/Value eq '{PRODUCT_TYPE}')"
                f" and OData.CSC.Intersects(area=geography'SRID=4326;{place}')"
                f" and ContentDate/Start ge {start}T00:00:00.000Z"
                f" and ContentDate/Start lt {end + timedelta(days=1)}T00:00:00.000Z",
                "$expand": "Attributes",
                "$orderby": "ContentDate/Start asc",
                "$top": str(PAGE_PRODUCTS),
            }
            yield from without_endless_pages(self._pages(query), self.url)

    def item_href(self, item: dict[str, Any]) -> str:
        """Return where a product is asked for. Raises InputError for one that the search couldn't read."""
        if error := item.get(UNREADABLE):
            raise error
        return str(next(link["href"] for link in item["links"] if link["rel"] == "self"))

    def read_item(self, href: str) -> pystac.Item:
        """Return the product at `href` as an item, with its files as the bucket lists them.

        Raises ServiceError and InputError as `search_items` does, InputError too where there are no files of it, and
        ConfigurationError where the keys of the bucket aren't set.
        """
        item = self._item(_answer(href, {"$expand": "Attributes"}))
        folder = item["assets"]["product"]["href"]
        fs, inner = self.access.filesystem(folder)
        with reading(folder, FILES):
            files = fs.find(inner)
        for file in files:
            if found := OF_PRODUCT.search(f"/{file}"):
                key = f"{found['band']}_{found['size']}" if found["band"] else found["cloud"] or "granule_metadata"
                item["assets"][key] = {"href": f"s3://{file}", LISTED: True}
        if not {"B11_20m", "B12_20m", "SCL_20m"} & item["assets"].keys():
            raise InputError(folder, f"none of a product's rasters among {len(files)} files", FILES)
        return pystac.Item.from_dict(item, href=href, migrate=False)

    def _pages(self, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        url, asked = self.url, query
        while True:
            answer = _answer(url, asked)
            products = answer.get("value")
            if not isinstance(products, list):
                raise InputError(redact(url), "an answer without a list of products", "an OData catalogue")
            for product in products:
                try:
                    yield self._item(product)
                except InputError as error:
                    name = product.get("Name") if isinstance(product, dict) else product
                    yield {"id": str(name), UNREADABLE: error}
            following = answer.get("@odata.nextLink")
            if not following:
                if len(products) >= PAGE_PRODUCTS:
                    raise ServiceError(f"{redact(url)}: a full page without another one: more than it shows", 422)
                return
            if urlsplit(str(following)).netloc != urlsplit(self.url).netloc:
                raise ServiceError(f"{redact(url)}: its next page is at another host, {redact(str(following))}")
            url, asked = str(following), {}

    def _item(self, product: Any) -> dict[str, Any]:
        """A product as a STAC item; what it doesn't state is left out, and named by who needs it."""
        with reading(redact(str(self.url)), PRODUCT, "a product of another form"):
            name = str(product["Name"]).removesuffix(SUFFIX)
            if not is_file_name(name) or not is_file_name(str(product["Id"])):
                raise InputError(redact(self.url), f"a product {name!r}", "a name that files can have")
            said = {one["Name"]: one.get("Value") for one in product.get("Attributes") or ()}
            folder = str(product["S3Path"]).lstrip("/").removeprefix(BUCKET.removeprefix("s3://"))
            tile = str(said.get("tileId") or "").removeprefix("T")
            properties = {
                "datetime": product["ContentDate"]["Start"],
                "eo:cloud_cover": said.get("cloudCover"),
                "sat:relative_orbit": said.get("relativeOrbitNumber"),
                "grid:code": f"MGRS-{tile}" if tile else None,
                "s2:product_uri": f"{name}{SUFFIX}",
                "processing:datetime": said.get("processingDate"),
                "created": product.get("OriginDate"),
                "published": product.get("PublicationDate"),
                "updated": product.get("ModificationDate"),
            }
            whole = {"href": f"{BUCKET}{folder}", "checksum": product.get("Checksum")}
            return {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": name,
                "collection": self.collection,
                "geometry": product["GeoFootprint"],
                "properties": {key: value for key, value in properties.items() if value is not None},
                "links": [{"rel": "self", "href": f"{self.url}({product['Id']})"}],
                "assets": {"product": whole},
            }


def _answer(url: str, query: dict[str, str]) -> dict[str, Any]:
    """Return what is answered, a JSON object."""
    try:
        with http_session() as session:
            answer = session.get(url, params=query or None, timeout=SEARCH_TIMEOUT_S)
    except requests.RequestException as error:
        raise no_answer(url, error) from error
    if answer.status_code != requests.codes.ok:
        told = redact(" ".join(answer.text.split()))[:MAX_MESSAGE]
        raise ServiceError(f"{redact(url)}: HTTP {answer.status_code}: {told}", answer.status_code)
    try:
        content = answer.json()
    except ValueError as error:  # a page of a proxy or of maintenance, with status 200
        raise ServiceError(f"{redact(url)}: an answer that isn't JSON: {redact(str(error))[:200]}") from error
    if not isinstance(content, dict):
        raise InputError(redact(url), f"JSON that is a {type(content).__name__}", "an OData catalogue")
    return content
