"""Plumes that others have published: lists of UNEP's IMEO (MARS), of Carbon Mapper, and the user's own.

What they saw stands in `reported_plumes` beside what Plumewatch finds; none of it is a source. Each provider has terms
of its own, which are to be shown where its rows are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from plumewatch import storage
from plumewatch.constants import HOURS_PER_YEAR
from plumewatch.gases import CH4, GASES
from plumewatch.geodesy import wrap_longitude
from plumewatch.inventory.inventory import Inventory, OnSetAside, ReadFiles, file_name, named, tell_set_aside
from plumewatch.inventory.rows.csv_rows import Rule, good_rows, numbers, place_rules, read_csv_rows, without_missing
from plumewatch.inventory.rows.factors import inventory_factors
from plumewatch.inventory.rows.repeated_rows import single_rows
from plumewatch.models import OnFailure
from plumewatch.tables import REPORTED_PLUMES

KG_PER_TONNE = 1000.0
QUANTITIES = ("emission_kg_h", "emission_sigma_kg_h")
OPTIONAL = ("gas", *QUANTITIES, "platform", "sector", "licence")
REQUIRED = ("report_id", "observed_at_utc", "longitude", "latitude")
NAMES = ("report_id", "platform", "sector", "licence")
FIRST_YEAR, LAST_YEAR = 1980, 2100
DAY_AND_HOUR = r"[0-9]{4}-?[0-9]{1,2}-?[0-9]{1,2}[T ][0-9]{1,2}.*"


@dataclass(frozen=True)
class _Form:
    """What a provider's file calls the columns of `reported_plumes`."""

    columns: Mapping[str, str]
    """By our name its name."""
    licence: str | None
    """What holds for all its rows; None: each says its own."""
    gas: str | None = None
    """Of which gas all rows are; None: each says its own."""


IMEO_MARS = _Form(
    {
        "report_id": "id_plume", "observed_at_utc": "tile_date", "longitude": "lon", "latitude": "lat",
        "emission_kg_h": "ch4_fluxrate", "emission_sigma_kg_h": "ch4_fluxrate_std", "platform": "satellite",
        "sector": "sector",
    },
    "UNEP IMEO MARS, terms of methanedata.unep.org",
    CH4.name,
)  # fmt: skip
CARBON_MAPPER = _Form(
    {
        "report_id": "plume_id", "observed_at_utc": "datetime", "longitude": "plume_longitude",
        "latitude": "plume_latitude", "gas": "gas", "emission_kg_h": "emission_auto",
        "emission_sigma_kg_h": "emission_uncertainty_auto", "platform": "platform", "sector": "ipcc_sector",
    },
    "Carbon Mapper, terms of carbonmapper.org",
)  # fmt: skip
OWN = _Form({name: name for name in (*REQUIRED, *OPTIONAL)}, None)


def read_reported_plumes(
    paths: Sequence[str],
    form: _Form,
    on_failure: OnFailure | None = None,
    on_set_aside: OnSetAside | None = None,
) -> pa.Table:
    """Return the plumes of a provider's lists as rows of the table `reported_plumes`.

    Rates are kg/h, null where none is stated. A time without a zone is UTC; one without an hour is refused, as midnight
    would be made up. A plume that is there again counts once; of several lists that of the file that was written last,
    and `on_set_aside` is told. Bad rows raise InputError, or are reported to `on_failure` by file and line.
    """
    lists = [_rows(path, form, on_failure) for path in _oldest_first(paths)]
    rows = pd.concat([each for each in lists if len(each)] or lists[:1], ignore_index=True)
    is_older = rows["report_id"].duplicated(keep="last")
    for file, n in rows["file"][is_older].value_counts().sort_index().items():
        tell_set_aside(f"{file}: {n} plumes that a newer file has", on_set_aside)
    rows = rows[~is_older]
    texts = ("report_id", "gas", "platform", "sector", "licence")
    return REPORTED_PLUMES.from_columns(
        {
            **{name: pa.array(rows[name].replace("", None).tolist(), pa.string()) for name in texts},
            **{name: pa.array(rows[name].to_numpy(float), from_pandas=True) for name in QUANTITIES},
            "observed_at_utc": pa.array(rows["observed_at_utc"].tolist(), pa.timestamp("us", "UTC")),
            "longitude": wrap_longitude(rows["longitude"].to_numpy(float)),
            "latitude": rows["latitude"].to_numpy(float),
        }
    )


def _oldest_first(paths: Sequence[str]) -> list[str]:
    never = pd.Timestamp(0, tz="UTC")
    return sorted(paths, key=lambda path: ((storage.modified_at(path) or never) if len(paths) > 1 else never, path))


def _rows(path: str, form: _Form, on_failure: OnFailure | None) -> pd.DataFrame:
    required = [form.columns[name] for name in REQUIRED] + ([] if form.gas else [form.columns["gas"]])
    its = {theirs: ours for ours, theirs in form.columns.items()}
    rows = read_csv_rows(path, required, [name for name in its if name not in required]).rename(columns=its)
    rows = rows.reindex(columns=[*REQUIRED, *OPTIONAL], fill_value="").assign(file=file_name(path))
    rows = rows.assign(**{name: without_missing(rows[name]) for name in (*QUANTITIES, "platform", "sector")})
    gas = pd.Series(form.gas, rows.index, object) if form.gas else rows["gas"].str.casefold()
    if not len(rows):
        return rows
    is_time = rows["observed_at_utc"].str.fullmatch(DAY_AND_HOUR)
    time = pd.to_datetime(rows["observed_at_utc"].where(is_time), utc=True, format="ISO8601", errors="coerce")
    most = gas.map(
        {name: tonnes * KG_PER_TONNE / HOURS_PER_YEAR for name, tonnes in inventory_factors().most_t_y.items()}
    )
    rates = {name: numbers(rows[name]) for name in QUANTITIES}
    rules = [
        Rule("report_id", rows["report_id"] != "", "an id, and as many fields as the header"),
        Rule("gas", gas.isin(GASES), ", ".join(GASES)),
        Rule(
            "observed_at_utc",
            time.dt.year.between(FIRST_YEAR, LAST_YEAR),
            "a day and time such as 2026-03-21T10:48:33+00",
        ),
        *place_rules(rows),
        *(
            Rule(name, (rows[name] == "") | ((rate >= 0) & (rate <= most)), "kg/h, at least 0, or nothing")
            for name, rate in rates.items()
        ),
    ]
    rows = good_rows(rows.assign(gas=gas), path, rules, on_failure)
    rows = single_rows(rows, path, rows["report_id"], NAMES, on_failure)
    licence = rows["licence"] if form.licence is None else form.licence
    found = {name: rate[rows.index] for name, rate in rates.items()}
    found |= {name: numbers(rows[name]) for name in ("longitude", "latitude")}
    return rows.assign(**found, observed_at_utc=time[rows.index], licence=licence)


def _of(form: _Form) -> ReadFiles:
    def read(paths: Sequence[str], on_failure: OnFailure | None, on_set_aside: OnSetAside | None) -> pa.Table:
        return read_reported_plumes(paths, form, on_failure, on_set_aside)

    return read


PROVIDERS = (
    Inventory(
        "imeo_mars", named(r"(?:.*[_-])?(?:unep|imeo|mars)(?:[_-].*)?\.csv"), _of(IMEO_MARS), table=REPORTED_PLUMES
    ),
    Inventory("carbon_mapper", named(r".*carbon[_-]?mapper.*\.csv"), _of(CARBON_MAPPER), table=REPORTED_PLUMES),
    Inventory("own", named(r"own_plumes.*\.csv|reported_plumes.*\.csv"), _of(OWN), table=REPORTED_PLUMES),
)
