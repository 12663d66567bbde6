"""Climate TRACE: CO2 and CH4 of single assets by satellite, activity and factors, CC BY 4.0.

A row of its files is an asset, a gas and a period, mostly a month, in tonnes. Files are those of the download pages of
a sector (`coal-mining_emissions_sources_v4_8_0.csv`) or an asset (`16168_climate_trace_ch4.csv`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from plumewatch import storage
from plumewatch.errors import InputError, some_of
from plumewatch.gases import GASES
from plumewatch.geodesy import wrap_longitude
from plumewatch.inventory.inventory import Inventory, OnSetAside, file_name, named, tell_set_aside
from plumewatch.inventory.rows.csv_rows import CsvForm, Rule, good_rows, numbers, place_rules, read_csv_rows
from plumewatch.inventory.rows.factors import emission_rule, inventory_factors
from plumewatch.inventory.rows.power_plants import fuel_name
from plumewatch.inventory.rows.repeated_rows import single_rows
from plumewatch.models import OnFailure
from plumewatch.tables import SOURCES

NAME = "climate_trace"
LICENCE = "CC BY 4.0"
COLUMNS = ("source_id", "source_name", "start_time", "end_time", "gas", "emissions_quantity", "lat", "lon")
SECTORS = ("original_inventory_sector", "subsector", "sector")
"""What the sector of a row is called, in releases up to v3, since v4, and elsewhere."""
OPTIONAL = (*SECTORS, "source_type", "emissions_quantity_units")
KINDS = {
    **dict.fromkeys(("electricity-generation", "heat-plants", "other-energy-use"), "power_plant"),
    "coal-mining": "coal_mine",
    **dict.fromkeys(
        ("oil-and-gas-production", "oil-and-gas-transport", "oil-and-gas-refining",
         "oil-and-gas-production-and-transport", "other-fossil-fuel-operations", "solid-fuel-transformation"),
        "oil_and_gas",
    ),
    "solid-waste-disposal": "landfill",
    **dict.fromkeys(
        ("aluminum", "bauxite-mining", "cement", "chemicals", "copper-mining", "fluorinated-gases",
         "food-beverage-tobacco", "glass", "iron-and-steel", "iron-mining", "lead-mining", "lime",
         "nickel-mining", "other-chemicals", "other-manufacturing", "other-metals", "other-mining-quarrying",
         "petrochemical-steam-cracking", "petrochemicals", "pulp-and-paper", "rock-quarrying",
         "sand-quarrying", "steel", "textiles-leather-apparel", "wood-and-wood-products", "zinc-mining",
         "incineration-and-open-burning-of-waste"),
        "industry",
    ),
}  # fmt: skip
"""By sector; all others (traffic, buildings, farms, forests, waste water) are none of the kinds of `sources`."""
FUEL_OF_KIND = {"coal_mine": "coal", "landfill": "waste"}
FUELS = {"coal", "natural gas", "oil", "petcoke", "biomass", "waste"}
WHOLE_YEAR = 365  # days
DAY = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})(?:[T ].*)?"
MAX_NAMED = 20  # sectors or files in one line of the log

log = logging.getLogger(__name__)


def read_climate_trace(
    paths: Sequence[str], on_failure: OnFailure | None = None, on_set_aside: OnSetAside | None = None
) -> pa.Table:
    """Return the assets of files as rows of the table `sources`, a row an asset and gas.

    The emission is the sum of the latest year whose days are all told. Of an asset without one it is what the days of
    the year with most of them emit, times 365 over their number; the provenance says so. Of an asset in several files
    the file that was written last counts. Sectors that are none of the kinds of `sources` are set aside, and told to
    `on_set_aside`. Bad rows raise InputError, or are reported to `on_failure` by file and line.
    """
    files = [_years(*file, on_failure, on_set_aside) for file in enumerate(_oldest_first(paths))]
    years = pd.concat([rows for rows in files if len(rows)] or files[:1], ignore_index=True)
    if not len(years):
        return SOURCES.empty()
    asset = ["source_id", "gas"]
    newest_file = years.groupby(asset)["file_number"].transform("max")
    again = years[years["file_number"] < newest_file].drop_duplicates([*asset, "file"])
    for file, rows in again.groupby("file"):
        tell_set_aside(f"{file}: {len(rows)} assets that a newer file has", on_set_aside)
    years = years[years["file_number"] == newest_file]
    is_whole = years["days"] >= WHOLE_YEAR
    order = years.assign(is_whole=is_whole, most=np.where(is_whole, 0, years["days"]))
    order = order.sort_values([*asset, "is_whole", "most", "year"])
    return _sources(order.drop_duplicates(asset, keep="last"))


def _oldest_first(paths: Sequence[str]) -> list[str]:
    if len(paths) < 2:
        return list(paths)
    never = pd.Timestamp(0, tz="UTC")
    return sorted(paths, key=lambda path: (storage.modified_at(path) or never, path))


def _years(number: int, path: str, on_failure: OnFailure | None, on_set_aside: OnSetAside | None) -> pd.DataFrame:
    """Emission and days of each asset, gas and year of a file."""
    rows = read_csv_rows(path, COLUMNS, OPTIONAL, CsvForm(only={"gas": frozenset(GASES)}))
    sector = next((rows[name] for name in SECTORS if (rows[name] != "").any()), rows[SECTORS[0]])
    sector = sector.str.casefold().str.replace(" ", "-")
    rows = rows.assign(sector=sector, gas=rows["gas"].str.casefold())
    if not len(rows):
        return rows
    if (rows["sector"] == "").all():
        raise InputError(path, "no row with a sector", f"a column {' or '.join(SECTORS)}")
    is_ours = sector.isin(KINDS) | (sector == "")
    if others := sector[~is_ours].value_counts().to_dict():
        told = some_of([f"{name} ({n} rows)" for name, n in sorted(others.items())], MAX_NAMED)
        tell_set_aside(f"{file_name(path)}: sectors that are no kind of source: {told}", on_set_aside)
    rows = rows[is_ours].rename(columns={"lon": "longitude", "lat": "latitude"})
    if not len(rows):
        return rows
    start, end = _days(rows["start_time"]), _days(rows["end_time"])
    days = (end - start).dt.days + 1
    emission = numbers(rows["emissions_quantity"])
    unit = rows["emissions_quantity_units"].str.casefold()
    rules = [
        Rule("source_id", rows["source_id"] != "", "an id, and as many fields as the header"),
        Rule("gas", rows["gas"].isin(GASES), ", ".join(GASES)),
        Rule("sector", rows["sector"] != "", ", ".join(sorted(set(KINDS)))),
        *place_rules(rows),
        Rule("start_time", start.notna(), "a day such as 2021-1-31"),
        Rule("end_time", (days >= 1) & (start.dt.year == end.dt.year), "a day of the same year, not before the start"),
        Rule("emissions_quantity_units", unit.isin(("", "t", "tonnes", "tonne", "metric tons")), "tonnes"),
    ]
    for gas in GASES:
        rule = emission_rule("emissions_quantity", emission, gas)
        rules.append(Rule(rule.column, np.asarray(rule.is_good, bool) | (rows["gas"] != gas), rule.allowed))
    rows = good_rows(rows, path, rules, on_failure)
    said = ["source_id", "source_name", "gas", "sector", "emissions_quantity", "longitude", "latitude", "source_type"]
    rows = rows.assign(**{"start_time": start[rows.index].astype(str), "end_time": end[rows.index].astype(str)})
    period = rows["source_id"] + ", " + rows["gas"] + ", " + rows["start_time"] + ", " + rows["end_time"]
    rows = single_rows(
        rows[[*said, "start_time", "end_time"]], path, period, ("source_id", "source_name", "source_type"), on_failure
    )
    rows = rows.assign(
        emission=emission[rows.index], days=days[rows.index], year=start[rows.index].dt.year, start=start[rows.index]
    )
    return _summed(rows).assign(file=file_name(path), file_number=number)


def _days(texts: pd.Series) -> pd.Series:
    """Days from text that may lack zeros, NaT where it is none."""
    each = pd.Series(texts.unique(), dtype=object)  # a day is told by thousands of rows
    parts = each.str.extract(f"^{DAY}$")[["year", "month", "day"]].apply(pd.to_numeric, errors="coerce")
    days = pd.to_datetime(parts, errors="coerce")
    return texts.map(dict(zip(each, days, strict=True))).astype("datetime64[ns]")


def _summed(rows: pd.DataFrame) -> pd.DataFrame:
    """Each asset, gas and year: what its periods emit together; a row of a whole year counts alone.

    Of periods that overlap, as months beside their quarters, the one that begins first counts, of such the longest.
    """
    asset_year = ["source_id", "gas", "year"]
    is_whole = rows["days"] >= WHOLE_YEAR
    has_whole = is_whole.groupby([rows[c] for c in asset_year]).transform("any")
    rows = rows[is_whole | ~has_whole].sort_values([*asset_year, "start", "days"], ascending=[True] * 4 + [False])
    end = rows["start"] + pd.to_timedelta(rows["days"], unit="D")
    groups = [rows[c] for c in asset_year]
    is_told = rows["start"] < end.groupby(groups).cummax().groupby(groups).shift()
    if is_told.any():
        log.info("%d periods lie within others of their asset, which count", is_told.sum())
    rows = rows[~is_told]
    of_year = rows.groupby(asset_year, sort=True)
    last = of_year[["source_name", "sector", "source_type", "longitude", "latitude"]].last()
    return last.assign(
        emission=of_year["emission"].sum(), days=of_year["days"].sum(), n=of_year["days"].count()
    ).reset_index()


def _sources(years: pd.DataFrame) -> pa.Table:
    factors = inventory_factors()
    is_whole = years["days"] >= WHOLE_YEAR
    emission = years["emission"] * np.where(is_whole, 1.0, WHOLE_YEAR / years["days"])
    sigma = emission * years["gas"].map({gas: factors.relative_sigma[f"{NAME}_{gas}"] for gas in GASES})
    kind = years["sector"].map(KINDS)
    fuel = years["source_type"].map(fuel_name)
    fuel = fuel.where((kind == "power_plant") & fuel.isin(FUELS), kind.map(FUEL_OF_KIND).fillna(""))
    span = [f"{n} periods of {year}" for n, year in zip(years["n"], years["year"], strict=True)]
    scaled = np.where(is_whole, "", ", " + years["days"].astype(str) + f" days, taken to {WHOLE_YEAR}")
    emits = (emission > 0).to_numpy()
    log.info("%d of %d assets and gases emit", emits.sum(), len(years))
    columns = {
        "source_id": NAME + "-" + years["source_id"] + "-" + years["gas"],
        "name": years["source_name"].where(years["source_name"] != "", "Climate TRACE " + years["source_id"]),
        "kind": kind,
        "fuel": fuel,
        "gas": years["gas"],
        "emission_t_y": emission,
        "emission_t_y_sigma": sigma,
        "year": years["year"].astype(np.int16),
        "longitude": wrap_longitude(numbers(years["longitude"])),
        "latitude": numbers(years["latitude"]),
        "licence": LICENCE,
        "provenance": "Climate TRACE, " + years["sector"] + ", " + span + scaled + ", " + years["file"],
    }
    table = pd.DataFrame(columns, years.index)[emits]
    return SOURCES.conform(pa.Table.from_pandas(table, preserve_index=False))


INVENTORY = Inventory(
    NAME, named(r".*climate[_-]?trace.*\.csv|.*_emissions[_-]sources_v[0-9_]+\.csv"), read_climate_trace
)
