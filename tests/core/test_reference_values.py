"""Reference files: names and types are those of the dataclass, or the message says which file and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any

import plumewatch.reference
import pytest
from plumewatch.errors import InputError
from plumewatch.evidence.rule import evidence_rule
from plumewatch.inventory.rows.factors import inventory_factors
from plumewatch.inventory.rows.power_plants import power_plant_factors
from plumewatch.matching.rule import matching_rule
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.oco2.gaussian_plume import plume_constants
from plumewatch.oco2.null_distribution import null_distribution
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.reference.loading import ENTRY, read_reference, typed_values
from plumewatch.wind.profile import exponent
from plumewatch.zones.indices import index_constants

FILES = sorted(path.name for path in Path(plumewatch.reference.__file__).parent.glob("*.yaml"))
WITHOUT_ENTRIES = {"oco2_collections.yaml", "oco2_lite_variables.yaml"}  # lists of collections and of variables


@dataclass(frozen=True)
class Scan:
    """A section."""

    count: int
    width_m: float
    steps: tuple[tuple[float, int], ...]
    by_method: Mapping[str, float]


@dataclass(frozen=True)
class Limits:
    """A file."""

    version: str
    scan: Scan
    fuels: Mapping[str, float]
    name: str


def entry(value: Any) -> dict[str, Any]:
    return {"value": value, "unit": "1", "source": "chosen"}


def content(**change: Any) -> dict[str, Any]:
    """A whole file, with other values in the section `scan`; None takes a name away."""
    scan = {"count": 3, "width_m": 40, "steps": [[100, 2], [50.5, 1]], "by_method": {"multi_pass": 7.0}} | change
    return {
        "version": "limits-1",
        "scan": {name: entry(value) for name, value in scan.items() if value is not None},
        "fuels": {"natural gas": entry(0.5), "coal": entry(1)},
        "name": entry("a"),
    }


def test_values_are_those_of_the_file() -> None:
    limits = typed_values(Limits, content(), "limits.yaml")
    scan = Scan(3, 40, ((100, 2), (50.5, 1)), {"multi_pass": 7.0})
    assert limits == Limits("limits-1", scan, {"natural gas": 0.5, "coal": 1}, "a")
    assert type(limits.scan.width_m) is int  # as it is written, so that what is stored of it stays as it was
    with pytest.raises(FrozenInstanceError):
        limits.scan.count = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": None}, r"limits.yaml: scan lacks count; allowed: exactly count, width_m, steps, by_method"),
        ({"counts": 1, "count": None}, r"scan lacks count and has unknown counts; allowed: exactly count"),
        ({"depth_m": 1}, r"yaml: scan has unknown depth_m; allowed"),
        ({"count": 3.0}, r"scan.count is 3.0; allowed: int"),
        ({"count": True}, r"scan.count is True; allowed: int"),
        ({"width_m": "40"}, r"scan.width_m is '40'; allowed: float"),
        ({"width_m": True}, r"scan.width_m is True; allowed: float"),
        ({"width_m": [40]}, r"scan.width_m is \(40,\); allowed: float"),
        ({"steps": 100}, r"scan.steps is 100; allowed: tuple"),
        ({"steps": [[100, 2, 1]]}, r"scan.steps is \(\(100, 2, 1\),\); allowed: tuple"),
        ({"steps": [[100, 2.5]]}, r"scan.steps is"),
        ({"by_method": {"multi_pass": "7"}}, r"scan.by_method is"),
        ({"by_method": {1: 7.0}}, r"scan.by_method is"),
        ({"by_method": 7.0}, r"scan.by_method is 7.0; allowed: .*Mapping"),
    ],
)
def test_other_names_and_types_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        typed_values(Limits, content(**change), "limits.yaml")


@pytest.mark.parametrize("found", [3, {"value": 3}, {"value": 3, "unit": "1", "source": "", "note": ""}, None])
def test_a_value_without_unit_and_source_is_refused(found: Any) -> None:
    whole = content()
    whole["scan"]["count"] = found
    with pytest.raises(InputError, match=r"limits.yaml: scan.count is .*; allowed: scan.count: {value, unit, source}"):
        typed_values(Limits, whole, "limits.yaml")


@pytest.mark.parametrize("found", [None, [], "text", {}, {"version": "limits-1"}])
def test_what_is_no_file_of_sections_is_refused(found: Any) -> None:
    with pytest.raises(InputError, match=r"limits.yaml: the file lacks .*fuels, name, scan"):
        typed_values(Limits, found, "limits.yaml")
    with pytest.raises(InputError, match=r"limits.yaml: scan lacks by_method, count, steps, width_m"):
        typed_values(Limits, content() | {"scan": found}, "limits.yaml")


def test_a_version_is_text() -> None:
    with pytest.raises(InputError, match=r"version is 1.0; allowed: str"):
        typed_values(Limits, content() | {"version": 1.0}, "limits.yaml")


def test_the_shipped_files_are_of_their_dataclasses() -> None:
    versions = {
        plume_thresholds().version, peak_thresholds().version, plume_constants().version, null_distribution().version,
        matching_rule("co2").version, matching_rule("ch4").version, power_plant_factors().version,
        inventory_factors().version,
        index_constants().version, evidence_rule().version,
    }  # fmt: skip
    shipped = {read_reference(file).get("version") for file in FILES}
    assert exponent() == 0.08 and versions | {"wind-profile-2", None} == shipped


@pytest.mark.parametrize("file", [file for file in FILES if file not in WITHOUT_ENTRIES])
def test_each_value_has_its_unit_and_source(file: str) -> None:
    def leaves(part: Any) -> Any:
        if "value" in part:
            yield part
        else:
            for below in part.values():
                yield from leaves(below)

    entries = list(leaves({name: part for name, part in read_reference(file).items() if name != "version"}))
    assert entries and all(one.keys() == ENTRY and one["unit"] and one["source"] for one in entries)


def test_files_are_parsed_by_their_ending() -> None:
    assert read_reference("sentinel2.json")["assets"]["B12"][0] == "swir22"
    assert read_reference("methane_published_cases.csv").startswith("case_id")
