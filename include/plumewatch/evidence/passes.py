"""Passes over sources with what they saw: sights and the matches of a key together, and both as numbers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plumewatch.evidence.posterior import Passes
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.orbits import OCO2
from plumewatch.statuses import ACCEPTED, SEARCHED
from plumewatch.table import floats
from plumewatch.tables import SOURCE_PASSES

LEAST_PROBABILITY = 0.01  # of coming from a source; below, the detection says nothing of it
SAME_PASS_S = 120.0  # tiles of one pass are some seconds apart; satellites in tandem are told apart by their scenes
RATE_SIGMA = 0.5  # natural log: of a rate without an interval
LEAST_RATE_SIGMA = 0.1
WIND = {CH4.name: ("wind_speed_10m_m_s", "wind_from_deg"), CO2.name: ("wind_u_m_s", "wind_v_m_s")}
OF_PASS = ("area", "orbit", "sensor", "scene_id", "observed_at_utc")


def passes_of_key(
    gas: Gas, sights: pa.Table, observations: pa.Table, matches: pa.Table, detections: pa.Table
) -> pa.Table:
    """Return SOURCE_PASSES of a key: what each pass saw of the sources it looked at, and of those it saw.

    `sights` are rows without detection, `observations` those of the table, `matches` all of the key, `detections` rows
    of the gas's table, of which the accepted ones count. Of several detections of one pass the one that most probably
    comes from a source stands in its row. The emission is the source's own share where matching states one
    (`plume_model_emission`), else the detection's. Rows without source are the detections that may be of a source in no
    inventory, with the probability that they are.
    """
    found = _seen(gas, matches, detections)
    is_listed = found["source_id"].notna()
    seen, unexplained = found[is_listed].reset_index(drop=True), found[~is_listed]
    looked = sights.to_pandas(date_as_object=False)
    looked["pass"] = _pass_names(gas, looked)
    seen["pass"] = _pass_names(gas, seen)
    if gas is CH4:
        seen["pass"] = _nearest_pass(seen, observations.to_pandas())
    looked["look"] = look_names(gas, looked)
    of_pass = _searched(gas, observations).drop_duplicates("pass").set_index("pass")
    seen["look"] = seen["pass"].map(look_names(gas, of_pass)).fillna(look_names(gas, seen)).astype(str)
    seen = seen.sort_values(["source_id", "look", "probability", "detection_id"], ascending=[True, True, False, True])
    seen = seen.drop_duplicates(["source_id", "look"])
    best = looked.sort_values("visible_fraction", ascending=False, kind="stable")
    looked = looked[looked["source_id"].isna() | ~best.duplicated(["source_id", "look"])[looked.index]]
    of_look = looked.loc[looked["source_id"].notna(), ["source_id", "look", "visible_fraction", "detection_limit"]]
    both = seen.merge(of_look, on=["source_id", "look"], how="left")
    stated = both["pass"].map(of_pass["detection_limit"])
    limit = both["detection_limit"].where(both["detection_limit"].notna(), stated)
    both["detection_limit"] = limit.astype(float)
    is_seen = pd.MultiIndex.from_frame(looked[["source_id", "look"]]).isin(
        pd.MultiIndex.from_frame(seen[["source_id", "look"]])
    )
    columns = SOURCE_PASSES.schema.names
    tables = [_arrow(part.reindex(columns=columns)) for part in (looked[~is_seen], both, unexplained)]
    return SOURCE_PASSES.conform(pa.concat_tables(tables))


def numbers_of(passes: pa.Table, ids: Sequence[str], rejected: frozenset[str] = frozenset()) -> Passes:
    """Return SOURCE_PASSES of listed sources as numbers; `ids` are those of the prior, with all sources of the passes.

    Detections that a person has `rejected` since are none.
    """
    index = pc.index_in(passes["source_id"], value_set=pa.array(ids, pa.string()))
    values = {
        name: floats(passes[name])
        for name in ("visible_fraction", "detection_limit", "probability", "emission", "emission_low", "emission_high")
    }
    is_out = pc.is_in(passes["detection_id"], value_set=pa.array(sorted(rejected), pa.string())).to_numpy()
    probability = np.where(is_out, 0.0, np.nan_to_num(values["probability"]))
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.where(values["emission"] > 0, values["emission"], np.nan)
        width = (
            np.log(values["emission_high"] / np.where(values["emission_low"] > 0, values["emission_low"], np.nan)) / 2
        )
        one_sided = np.log(values["emission_high"] / rate)  # an interval that begins at nothing
    width = np.where(np.isfinite(width), width, one_sided)
    visible = values["visible_fraction"]
    # A detection of which nothing else is known was seen: it tells nothing of what is hidden.
    visible = np.where(np.isfinite(visible), visible, np.where(probability > 0, 1.0, 0.0))
    return Passes(
        index.fill_null(0).to_numpy().astype(np.intp),
        visible,
        values["detection_limit"],
        np.minimum(probability, 1.0),
        rate,
        np.maximum(np.where(np.isfinite(width), width, RATE_SIGMA), LEAST_RATE_SIGMA),
    )


def _seen(gas: Gas, matches: pa.Table, detections: pa.Table) -> pd.DataFrame:
    """Matches of accepted detections, to sources or none, with the pass that each detection was seen in."""
    accepted = detections.filter(pc.equal(detections["status"], ACCEPTED))
    keep = [name for name in (*OF_PASS, "longitude", "latitude", *WIND[gas.name]) if name in accepted.column_names]
    of_id = accepted.select([gas.id_column, *keep, *_rates(gas)]).to_pandas()
    if gas is CH4:
        of_id = of_id.rename(columns={"wind_speed_10m_m_s": "wind_speed_m_s"})
    else:
        u, v = (of_id.pop(name).astype(float) for name in WIND[gas.name])
        of_id = of_id.assign(wind_speed_m_s=np.hypot(u, v), wind_from_deg=np.degrees(np.arctan2(-u, -v)) % 360.0)
    of_id["detection_id"] = of_id.pop(gas.id_column).astype(str)
    of_id = of_id.drop_duplicates("detection_id")
    of_match = matches.to_pandas()
    seen = of_match.merge(of_id, on="detection_id", how="inner").reindex(
        columns=list(dict.fromkeys([*of_match.columns, *of_id.columns, *OF_PASS]))
    )
    if "sensor" in seen:
        seen["sensor"] = seen["sensor"].where(seen["sensor"].notna() | (gas is CH4), OCO2)
    seen["probability"] *= 1.0 - seen["false_detection_probability"].fillna(0.0).astype(float)
    is_modelled = seen["plume_model_emission"].notna()
    for end in ("", "_low", "_high"):
        own = seen[f"{gas.emission_column}{end}"].astype(float)
        seen[f"emission{end}"] = seen[f"plume_model_emission{end}"].astype(float).where(is_modelled, own)
    return seen[seen["probability"] >= LEAST_PROBABILITY].reset_index(drop=True)


def _rates(gas: Gas) -> list[str]:
    return [gas.emission_column + end for end in ("", "_low", "_high")]


def _pass_names(gas: Gas, rows: pd.DataFrame) -> pd.Series:
    """What tells passes apart: of methane area and time, of CO2 sensor and orbit."""
    if gas is CH4:
        return rows["area"].astype(str) + " " + rows["observed_at_utc"].astype(str) + _scene_without_time(rows)
    return rows["sensor"].fillna(OCO2).astype(str) + " " + rows["orbit"].astype("Int64").astype(str)


def look_names(gas: Gas, rows: pd.DataFrame) -> pd.Series:
    """What tells looks at a place apart: areas that overlap see it by one pass."""
    return rows["observed_at_utc"].astype(str) + _scene_without_time(rows) if gas is CH4 else _pass_names(gas, rows)


def _scene_without_time(rows: pd.DataFrame) -> pd.Series:
    return (" " + rows["scene_id"].astype(str)).where(rows["observed_at_utc"].isna(), "")


def _searched(gas: Gas, observations: pa.Table) -> pd.DataFrame:
    rows = observations.filter(pc.equal(observations["outcome"], SEARCHED)).to_pandas()
    return rows.assign(**{"pass": _pass_names(gas, rows)})


def _nearest_pass(seen: pd.DataFrame, observations: pd.DataFrame) -> pd.Series:
    """The name of the observed pass of the plume's area and scene, or of the nearest, at most two minutes from it."""
    names = seen["pass"].copy()
    observations = observations[observations["outcome"] == SEARCHED]
    observations = observations.assign(**{"pass": _pass_names(CH4, observations)})
    for at, row in zip(seen.index, seen.to_dict("records"), strict=True):
        own = observations[observations["area"] == row["area"]]
        apart = (own["observed_at_utc"] - row["observed_at_utc"]).abs().dt.total_seconds()
        near = own[own["scene_id"] == row["scene_id"]]  # an observation has the scene of one of its tiles
        near = near if len(near) else own[apart <= SAME_PASS_S]
        if len(near):
            names[at] = near.loc[apart[near.index].fillna(SAME_PASS_S).idxmin(), "pass"]
    return names


def _arrow(rows: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(rows, schema=SOURCE_PASSES.schema, preserve_index=False)
