"""What the catalogues of all sensors have of an area around an event, or what the items at given addresses are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from plumewatch.areas import read_areas, select_areas
from plumewatch.catalogues.services import catalogue_of
from plumewatch.errors import InputError, ParameterError, PlumewatchError, redact
from plumewatch.http import one_patience_per_host
from plumewatch.models import STAC, Area, FailedScene
from plumewatch.progress import followed
from plumewatch.sensor_scenes.event import GIVEN, Event, choose_passes
from plumewatch.sensor_scenes.given import read_given
from plumewatch.sensors.known import SENSORS, sensor_of_collection, sensor_of_item
from plumewatch.sensors.sensor import Sensor
from plumewatch.sentinel2.scene import scene_ref
from plumewatch.sentinel2.search import search_scenes
from plumewatch.sentinel2.stack import item_dict
from plumewatch.settings import Settings
from plumewatch.statuses import SEARCH_STAGE

SENSOR_NAMES = tuple(sensor.name for sensor in SENSORS)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WantedScene:
    """A scene that is to be put on the grid."""

    area: str
    """Area of interest."""
    sensor: str
    """Its sensor."""
    scene_id: str
    """Id of its item."""
    item_href: str
    """Where the item is, without a signature."""
    service: str
    """Address of the catalogue, empty where the item's address was given."""
    collection: str
    """Its collection there, empty where the item's address was given."""
    role: str
    """When it was seen (`event.ROLES`)."""
    date: str
    """UTC date of acquisition."""


@dataclass
class FoundSensorScenes:
    """What came of a search."""

    scenes: list[WantedScene] = field(default_factory=list)
    """To be fetched, by sensor and time."""
    failed: list[FailedScene] = field(default_factory=list)
    """Sensors whose search failed, and items that cannot be used."""
    notes: list[str] = field(default_factory=list)
    """What else there is to say of each sensor, such as that it has nothing there."""
    gone_well: list[str] = field(default_factory=list)
    """Of searches that were answered and items that can be used: the names that their failures would have."""


def area_named(settings: Settings, name: str) -> Area:
    """Return an area of the settings' folders; ParameterError lists those there are."""
    failures: list[FailedScene] = []
    areas = read_areas(*settings.area_folders, on_failure=failures.append)
    for failure in failures:
        log.warning("left out: %s", failure.message)
    [area] = select_areas(areas, [name])
    return area


def search_sensors(
    settings: Settings, area: Area, event: Event, sensors: Sequence[str] = (), passes: int = 1
) -> FoundSensorScenes:
    """Return the passes of each sensor (all where none is named) that show an area best before, during and after.

    A sensor that has nothing there is a note, one whose search fails a failure; the others are searched all the same.
    """
    if unknown := sorted(set(sensors) - set(SENSOR_NAMES)):
        raise ParameterError(f"sensors {', '.join(unknown)}; allowed: {', '.join(SENSOR_NAMES)}")
    found = FoundSensorScenes()
    wanted = [sensor for sensor in SENSORS if not sensors or sensor.name in sensors]
    with one_patience_per_host():
        for sensor in followed(wanted, "search", "sensors"):
            _search_sensor(settings, area, event, sensor, passes, found)
    return found


def _search_sensor(
    settings: Settings, area: Area, event: Event, sensor: Sensor, passes: int, found: FoundSensorScenes
) -> None:
    """Search a sensor's collections, the best first, up to one that has something."""
    name = f"{sensor.name} search"
    errors: list[PlumewatchError] = []
    for service, collection in _services(settings, area, sensor):
        asked = replace(
            area, catalogue=STAC, stac_api=service, collection=collection, max_cloud_cover=None, max_items=None
        )
        try:
            there = search_scenes(asked, event.start, event.end, catalogue_of(asked, settings))
        except PlumewatchError as error:
            log.warning("%s: %s in %s: %s", area.name, sensor.title, collection, error)
            errors.append(error)
            continue
        found.failed += there.failed
        found.gone_well += [ref.scene_id for ref in there.scenes]
        chosen = choose_passes(there.scenes, area.geometry, event, passes)
        scenes = [
            WantedScene(
                area.name, sensor.name, ref.scene_id, ref.item_href, service, collection, role,
                ref.observed_at_utc.date().isoformat(),
            )
            for role, of_role in chosen.items()
            for one in of_role
            for ref in one
        ]  # fmt: skip
        if scenes:
            roles = ", ".join(f"{len(of_role)} {role}" for role, of_role in chosen.items())
            found.notes.append(f"{sensor.title} of {collection}: passes {roles}")
            found.scenes += scenes
            found.gone_well.append(name)
            return
    if errors:
        found.failed.append(FailedScene.from_exception(errors[-1], scene_id=name, stage=SEARCH_STAGE, area=area.name))
        found.notes.append(f"{sensor.title}: not answered")
    else:
        found.gone_well.append(name)
        found.notes.append(f"{sensor.title}: nothing of {area.name} from {event.start} to {event.end}")


def _services(settings: Settings, area: Area, sensor: Sensor) -> list[tuple[str, str]]:
    """Address and collection of what is searched for a sensor: the area's own first, where it is of that sensor."""
    known = [(str(getattr(settings, source.setting)), source.collection) for source in sensor.sources]
    if area.catalogue == STAC and area.stac_api and sensor_of_collection(area.collection) is sensor:
        return [(area.stac_api, area.collection or sensor.sources[0].collection), *known[1:]]
    return known


def find_given(settings: Settings, area: Area, hrefs: Sequence[str], event: Event | None) -> FoundSensorScenes:
    """Return what the items at given addresses are; what cannot be used of them is a failure by its address.

    An item that shows nothing of the area is refused by name.
    """
    found = FoundSensorScenes()
    with one_patience_per_host():
        for href in followed(list(dict.fromkeys(hrefs)), "items read", "items"):
            try:
                item, _ = read_given(settings, area, href)
                sensor = sensor_of_item(item.id, item.properties)
                ref = scene_ref(item_dict(item), href, sensor)
                if not ref.footprint.intersects(area.geometry):
                    raise InputError(redact(href), f"an item that shows nothing of area {area.name}", "one that does")
            except PlumewatchError as error:
                found.failed.append(
                    FailedScene.from_exception(error, scene_id=redact(href), stage=SEARCH_STAGE, area=area.name)
                )
                continue
            day = ref.observed_at_utc.date()
            role = GIVEN if event is None else event.role(day)
            wanted = WantedScene(area.name, sensor.name, ref.scene_id, href, "", "", role, day.isoformat())
            found.scenes.append(wanted)
            found.gone_well.append(redact(href))
    return found
