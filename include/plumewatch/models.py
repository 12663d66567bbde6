"""The things the project speaks of, as plain types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumewatch.errors import InputError, is_of_content, may_heal, redact
from plumewatch.geodesy import Distortion, Floats, compute_distortion, degrees_of

MAX_MESSAGE = 2000  # characters of an error that a row of failed_scenes holds

STAC, SENTINEL_HUB = "stac", "sentinel_hub"
"""What an area's `catalogue` can be."""
DEFAULT_COLLECTION = "sentinel-2-l2a"
"""Surface reflectance, by the name that all catalogues have for it; of Sentinel Hub the one that has classes too."""

OnFailure = Callable[["FailedScene"], None]
"""What a reader tells of what it can't use, and goes on."""


@dataclass(frozen=True)
class Area:
    """An area of interest, as one feature of a file in `include/areas/` or `<storage root>/areas/` describes it."""

    name: str
    """Unique among all areas; the value of the partition `area=`."""
    geometry: Any
    """shapely polygon or multipolygon, WGS 84 longitude and latitude in degrees."""
    catalogue: str = STAC
    """Where scenes come from: `stac` or `sentinel_hub`."""
    stac_api: str | None = None
    """URL of the STAC API; the setting PLUMEWATCH_STAC_API where None."""
    collection: str | None = None
    """STAC collection; `sentinel-2-l2a` where None."""
    max_cloud_cover: float | None = None
    """Scenes with a higher cloud cover (percent, of the tile, then of the area) are skipped; None takes all."""
    bands: tuple[str, ...] = ("B11", "B12")
    """Bands to stack, by their Sentinel-2 names."""
    crs: str | None = None
    """Projected CRS of the grid as `EPSG:...`; the UTM zone of the centroid where None."""
    resolution_m: float = 20.0
    """Cell size of the grid in metres."""
    max_items: int | None = None
    """At most so many scenes a day; None takes all."""
    evalscript: str | None = None
    """File of the area's own evalscript, for the catalogue `sentinel_hub`; None: one is written for the bands."""
    file: str = ""
    """The file that describes the area."""
    clear_classes: tuple[int, ...] | None = None
    """Classes of the scene classification in which the ground is seen; the project's where None."""
    cloud_dilation_m: float | None = None
    """Margin around cloud and its shadow in metres; the project's where None."""
    cloud_mask: str = "scl"
    """Where a cloud probability comes from: `scl` the service's, where it has one, `s2cloudless`, `qa60`."""
    max_cloud_probability: float | None = None
    """Cells of a higher cloud probability (percent) are cloud; the mask's own limit where None."""


@dataclass(frozen=True)
class Grid:
    """The cells that all scenes and dates of an area share; row 0 is the northernmost."""

    epsg: int
    """Projected CRS."""
    west: float
    """Left edge in metres."""
    north: float
    """Upper edge in metres."""
    resolution_m: float
    """Cell size in metres."""
    width: int
    """Columns."""
    height: int
    """Rows."""

    @property
    def crs(self) -> str:
        """The CRS as `EPSG:...`."""
        return f"EPSG:{self.epsg}"

    @property
    def transform(self) -> Any:
        """affine.Affine from (column, row) to projected metres."""
        from affine import Affine

        return Affine(self.resolution_m, 0.0, self.west, 0.0, -self.resolution_m, self.north)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in metres."""
        return (
            self.west,
            self.north - self.height * self.resolution_m,
            self.west + self.width * self.resolution_m,
            self.north,
        )

    def longitude_latitude(self, row: Floats, col: Floats) -> tuple[Floats, Floats]:
        """Return longitude and latitude in degrees of places counted in cells; (0, 0) is the upper left corner."""
        x, y = self.west + col * self.resolution_m, self.north - row * self.resolution_m
        longitude, latitude = degrees_of(self.crs).transform(x, y)
        return np.asarray(longitude), np.asarray(latitude)

    @property
    def distortion(self) -> Distortion:
        """How true lengths and directions on it are."""
        return compute_distortion(self.longitude_latitude, self.height, self.width, self.resolution_m)


@dataclass(frozen=True)
class FailedScene:
    """A scene, granule or file that could not be used, and why."""

    scene_id: str
    """Scene id; for OCO-2 the granule's name."""
    stage: str
    """What was being done: search, fetch_scene, extract, pixels, detection ..."""
    error_class: str
    """Name of the exception's class."""
    message: str
    """What was found and what is allowed, without secrets."""
    area: str | None = None
    """Area of interest, where there is one."""
    asset: str | None = None
    """The asset or file in question."""
    http_status: int | None = None
    """Answer of the service, where one answered."""
    attempts: int = 1
    """How often it was tried."""
    is_retryable: bool = False
    """Whether trying again may heal it."""

    @classmethod
    def from_exception(
        cls,
        error: BaseException,
        *,
        scene_id: str,
        stage: str,
        area: str | None = None,
        asset: str | None = None,
        attempts: int = 1,
    ) -> FailedScene:
        """Describe `error`."""
        return cls(
            scene_id=redact(scene_id),
            stage=stage,
            error_class=type(error).__name__,
            message=redact(str(error))[:MAX_MESSAGE],
            area=area,
            asset=redact(asset or getattr(error, "file", "") or "") or None,
            http_status=getattr(error, "http_status", None),
            attempts=attempts,
            is_retryable=may_heal(error),
        )

    @property
    def where(self) -> str:
        """Area, where there is one, and scene."""
        return f"{self.area} {self.scene_id}" if self.area else self.scene_id

    @property
    def identity(self) -> tuple[str | None, str, str]:
        """What tells its row from others in the partition."""
        return self.area, self.scene_id, self.stage


def tell_or_raise(error: InputError | OSError, asset: str, stage: str, on_failure: OnFailure | None) -> None:
    """Tell what a reader can't use of `asset`, by its name, and go on; raise it where nobody is to be told.

    What couldn't be read now, whatever it holds, is always raised: without it the outcome would be another.
    """
    if on_failure is None or not is_of_content(error):
        raise error
    name = asset.rstrip("/").rsplit("/", 1)[-1]
    on_failure(FailedScene.from_exception(error, scene_id=name, stage=stage, asset=asset))
