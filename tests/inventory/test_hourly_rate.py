"""What a plant of CoCO2 emits at the hour of an overpass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from inventory_files import COCO2_HEADER, write
from plumewatch.errors import InputError
from plumewatch.inventory.coco2 import read_coco2
from plumewatch.inventory.coco2_profiles import COLUMNS, HOURS, MONTHS, WEEKDAYS, read_profiles
from plumewatch.inventory.hourly_rate import rate_at

OVERPASS = datetime(2016, 8, 31, 11, 55, tzinfo=UTC)  # a Wednesday, 13:51 at 29 E


def factors(of: str, changed: dict[str, float], name: str = "F") -> str:
    """Factors with a mean of 1, of which some are stated."""
    others = (len(COLUMNS[of]) - sum(changed.values())) / (len(COLUMNS[of]) - len(changed))
    return ",".join([name, *(str(changed.get(column, others)) for column in COLUMNS[of])])


def profile_file(folder: Path, of: str, *lines: str) -> str:
    return write(folder, f"{of}.csv", ",".join([of, *COLUMNS[of]]), *lines)


def catalogue(folder: Path, *lines: str) -> str:
    return write(folder, "coco2_ps_catalogue.csv", f"{COCO2_HEADER},{MONTHS},{WEEKDAYS},{HOURS}", *lines)


def profile_files(folder: Path) -> list[str]:
    return [
        profile_file(folder, MONTHS, factors(MONTHS, {"Aug": 1.5})),
        profile_file(folder, WEEKDAYS, factors(WEEKDAYS, {"Wednesday": 1.2})),
        profile_file(folder, HOURS, factors(HOURS, {"H13": 2.0, "H14": 0.5}), factors(HOURS, {"H13": 0.0}, "none")),
    ]


def test_the_rate_of_a_plant_is_that_of_its_units_at_the_local_hour(tmp_path: Path) -> None:
    units = [f"CoCO2_{n},ZAF,coal,29,-26,{t_y},F,F,{hour}" for n, t_y, hour in ((1, 6.57e6, "F"), (2, 2.19e6, "none"))]
    path = catalogue(tmp_path, *units, "CoCO2_9,ZAF,coal,10,10,8.76e6,other,F,F")
    plant, other = read_coco2(path).to_pylist()
    profiles = read_profiles(path, *profile_files(tmp_path))
    assert profiles.keys() == {plant["source_id"], other["source_id"]}
    assert rate_at(plant, OVERPASS, profiles) == pytest.approx(1000 * 0.75 * 1.5 * 1.2 * 2.0)
    assert rate_at(plant, OVERPASS.astimezone(timezone(timedelta(hours=9))), profiles) == pytest.approx(2700)
    assert rate_at(plant, OVERPASS.replace(tzinfo=None), profiles) == pytest.approx(2700)
    assert rate_at(other, OVERPASS, profiles) == pytest.approx(
        1000 * 1.2 * profiles[other["source_id"]][0][1].hours[12]
    )
    assert rate_at({**plant, "source_id": "gppd-1"}, OVERPASS, profiles) == 1000


def test_the_hours_of_a_year_add_up_to_its_emission(tmp_path: Path) -> None:
    path = catalogue(tmp_path, "CoCO2_1,ZAF,coal,29,-26,8.76e6,F,F,F")
    [plant], profiles = read_coco2(path).to_pylist(), read_profiles(path, *profile_files(tmp_path))
    hours = [datetime(2018, 1, 1) + timedelta(hours=n) for n in range(8760)]
    assert sum(rate_at(plant, hour, profiles) for hour in hours) == pytest.approx(8.76e6, rel=0.01)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (factors(HOURS, {"H13": -1.0}), "H13 is '-1.0'"),
        (factors(HOURS, {"H13": 2.0}).replace("2.0", "x"), "H13 is 'x'"),
        (factors(HOURS, {"H13": 2.0}).replace("2.0", "9.0"), "factors with a mean of 1"),
        ("torn,1", "as many fields as the header"),
    ],
)
def test_a_bad_profile_is_named_and_the_good_go_through(tmp_path: Path, line: str, says: str) -> None:
    path = catalogue(tmp_path, "CoCO2_1,ZAF,coal,29,-26,8.76e6,F,F,good")
    paths = [*profile_files(tmp_path)[:2], profile_file(tmp_path, HOURS, factors(HOURS, {"H13": 2.0}, "good"), line)]
    with pytest.raises(InputError, match=rf"{HOURS}\.csv:3: .*{says}"):
        read_profiles(path, *paths)
    failures: list[object] = []
    assert read_profiles(path, *paths, failures.append)["coco2-1"][0][1].hours[13] == 2.0 and len(failures) == 1
