"""One NetCDF file of EDGAR: which gas, year and sector it is of, and its cells in tonnes a year."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np

from plumewatch.constants import HOURS_PER_YEAR, SECONDS_PER_HOUR
from plumewatch.errors import InputError, reading
from plumewatch.gases import CH4, CO2
from plumewatch.inventory.edgar_months import N_MONTHS, month_weights, require_months
from plumewatch.inventory.grid_cells import MOST_CELLS, Floats, Grid
from plumewatch.inventory.rows.units import states_time, tonnes_a_year
from plumewatch.netcdf.own_values import require_own_variables

ALLOWED = "a NetCDF file of EDGAR: `emissions` (tonnes) or `fluxes`, `emi_co2`, `emi_ch4` (kg m-2 s-1) over lat and lon"
KG_PER_TONNE = 1000.0
SECONDS_PER_YEAR = HOURS_PER_YEAR * SECONDS_PER_HOUR
FIRST_YEAR, LAST_YEAR = 1970, 2100
NAMES = {"longitude": ("lon", "longitude"), "latitude": ("lat", "latitude")}
FLUX_UNITS = {"kg m-2 s-1", "kg/m2/s", "kg/(m2 s)", "kg/m2 s", "kg m**-2 s**-1", "kg m^-2 s^-1", "kg/m^2/s"}
PER_CELL = re.compile(r"\s*(?:/|per|a)\s*(?:grid[ _]?)?cell\b|\s*cell-1", re.IGNORECASE)
IN_NAME = re.compile(
    r"(?:^|_)(?P<gas>CO2|CH4)(?P<more>bio|_excl_short-cycle_org_C|_org_short-cycle_C)?_(?P<year>[0-9]{4})"
    r"(?:_(?P<month>0?[1-9]|1[0-2]))?(?:_(?P<sector>[A-Za-z0-9-]+(?:_[A-Za-z0-9-]+)*?))?(?:_(?:emi|flx))?(?:\.[0-9]\S*)?\.nc$",
    re.IGNORECASE,
)
GAS_WORDS = (
    (re.compile(r"co2(?![a-z0-9])|carbon_?\s?dioxide", re.IGNORECASE), CO2.name),
    (re.compile(r"ch4(?![a-z0-9])|methane", re.IGNORECASE), CH4.name),
)
NO_EMISSION = re.compile(r"area|uncert|sigma|std|error|mask|bnds|bounds", re.IGNORECASE)
"""Variables beside emissions."""
BEFORE_SECTOR = re.compile(r"^(?:emissions?|emi|flx|fluxe?s?)?_?(?:co2|ch4)?_?", re.IGNORECASE)
EQUIVALENTS = re.compile(r"co2[ _-]?e(?:q\w*|quiv\w*)?(?![a-z])|equivalent|(?<![a-z])gwp(?![a-z])", re.IGNORECASE)
"""Words of all greenhouse gases in one, by what each warms: no mass of a gas."""
SHORT_CYCLE = re.compile(r"co2_?bio|(?<!excl_)short-cycle", re.IGNORECASE)


@dataclass(frozen=True)
class Layer:
    """One variable of a file."""

    path: str
    """The file."""
    variable: str
    """The variable's name in it."""
    gas: str
    """What is emitted."""
    year: int
    """When."""
    sector: str
    """Of what, in EDGAR's letters; TOTALS is of all."""
    is_flux: bool
    """Whether it is a mass per area and time, not a mass per cell."""
    is_rate: bool
    """Whether it is a mass per time, a flux too: months of it are averaged, those of a mass added up."""
    tonnes: float
    """Tonnes a year that 1 of an emission's unit is."""
    licence: str
    """What the file says of its use."""

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.gas.upper()} {self.year} {self.sector} in {'kg m-2 s-1' if self.is_flux else 'tonnes'}"


@contextmanager
def _open(local: Path, path: str) -> Iterator[netCDF4.Dataset]:
    """A file; what the NetCDF library says of its content, which are numbers of its own, is an error that names it."""
    if not local.is_file():
        raise InputError(path, "no such file", ALLOWED)
    if h5py.is_hdf5(local):  # netCDF-3 knows no other files
        with reading(path, ALLOWED, "damaged"), h5py.File(local) as file:
            require_own_variables(file)
    try:
        with netCDF4.Dataset(local) as dataset, reading(path, ALLOWED, "damaged"):
            yield dataset
    except (OSError, RuntimeError) as error:
        raise InputError(path, f"damaged or no NetCDF, {local.stat().st_size} bytes ({error})", ALLOWED) from error


def read_layers(local: Path, path: str) -> list[Layer]:
    """Return what a file holds, without reading its cells; InputError where it isn't what EDGAR writes."""
    name = path.rsplit("/", 1)[-1]
    said = IN_NAME.search(name)
    if SHORT_CYCLE.search(name):
        raise InputError(path, "CO2 of the short carbon cycle (bio)", "fossil CO2, or CH4")
    if said and said["month"]:
        raise InputError(path, f"a file of month {said['month']}", "a file of a year")
    with _open(local, path) as dataset:
        attributes = {key: dataset.getncattr(key) for key in dataset.ncattrs()}
        layers = [
            _layer(path, variable, said, attributes, alone=alone)
            for variables in [_gridded(dataset, path)]
            for alone in [len(variables) == 1]
            for variable in variables
        ]
    return layers


def _gridded(dataset: netCDF4.Dataset, path: str) -> list[Any]:
    axes = {of: _axis(dataset, of, path).dimensions for of in NAMES}
    both = {*axes["longitude"], *axes["latitude"]}
    found = [v for v in dataset.variables.values() if set(v.dimensions[-2:]) == both and not NO_EMISSION.search(v.name)]
    if not found:
        there = ", ".join(f"{v.name}{list(v.shape)}" for v in dataset.variables.values()) or "no variable"
        raise InputError(path, f"no variable over latitude and longitude ({there})", ALLOWED)
    return found


def _axis(dataset: netCDF4.Dataset, of: str, path: str) -> Any:
    found = next((dataset.variables[name] for name in NAMES[of] if name in dataset.variables), None)
    if found is None or len(found.dimensions) != 1:
        raise InputError(path, f"no variable {' or '.join(NAMES[of])} of one dimension", ALLOWED)
    return found


def _layer(path: str, variable: Any, said: re.Match[str] | None, attributes: Mapping[str, Any], alone: bool) -> Layer:
    own = {key: variable.getncattr(key) for key in variable.ncattrs()}
    texts = [variable.name, *(str(of.get(key, "")) for of in (own, attributes) for key in ("substance", "long_name"))]
    texts += [str(own.get("standard_name", "")), said["gas"] if said else "", path.rsplit("/", 1)[-1]]
    if not any(word.search(text) for text in texts for word, _ in GAS_WORDS):
        texts.append(str(attributes.get("title", "")))  # it may tell of all that was released with the file
    if said_so := next((text for text in (*texts, str(own.get("units", ""))) if EQUIVALENTS.search(text)), None):
        raise InputError(path, f"{variable.name} of CO2 equivalents ({said_so!r})", "CO2 or CH4, each for itself")
    gas = next((gas for text in texts for word, gas in GAS_WORDS if word.search(text)), None)
    if gas is None:
        raise InputError(path, f"no gas in the name of {variable.name} or of the file", "CO2 or CH4")
    stated = str(own.get("year", attributes.get("year", "")))
    years = {int(text) for text in (said["year"] if said else "", stated) if re.fullmatch(r"[0-9]{4}", text)}
    if len(years) != 1 or not FIRST_YEAR <= min(years) <= LAST_YEAR:
        found = "years " + " and ".join(map(str, sorted(years))) if years else "no year in the file's name"
        raise InputError(path, found, "one year, as EDGAR writes it: ..._CO2_2023_TOTALS_emi.nc")
    unit = str(own.get("units", "")).strip()
    is_flux, tonnes = _unit(unit, variable.name, gas, path)
    is_rate = is_flux or states_time(PER_CELL.sub("", unit))
    sector = said["sector"] if said and alone else None if alone else BEFORE_SECTOR.sub("", variable.name)
    title, licence = (sector or "TOTALS").upper(), _licence(attributes)
    return Layer(path, variable.name, gas, min(years), title, is_flux, is_rate, tonnes, licence)


def _licence(attributes: Mapping[str, Any]) -> str:
    """Files up to v6 say that they aren't for commercial use; since v8 the data are CC BY 4.0."""
    is_restricted = "commercial" in str(attributes.get("copyright_notice", ""))
    return "EDGAR (EC-JRC/PBL), not for commercial use" if is_restricted else "CC BY 4.0, EDGAR (EC-JRC)"


def _unit(unit: str, variable: str, gas: str, path: str) -> tuple[bool, float]:
    """Whether a unit is a flux, and the tonnes of one that is a mass; without a unit the variable's name says it."""
    if not unit:
        return variable.lower() != "emissions", 1.0
    plain = " ".join(unit.replace(" .", " ").split()).casefold()
    if plain in FLUX_UNITS:
        return True, 1.0
    tonnes = tonnes_a_year(PER_CELL.sub("", unit), gas)
    if tonnes is None:
        raise InputError(path, f"{variable} in {unit!r}", "kg m-2 s-1, or tonnes (a cell and year)")
    return False, tonnes


@dataclass(frozen=True)
class Cells:
    """The emission of each cell of a layer."""

    emission_t_y: Floats
    """Tonnes a year, NaN where there is none; a row for each latitude and a column for each longitude."""
    grid: Grid
    """Where they are."""
    n_gaps: int
    """Cells that have no value in some of the months, and one in others."""


def read_layer(local: Path, layer: Layer) -> Cells:
    """Return the cells of a layer.

    A file may have the 12 months of its year: those of a rate or a flux are averaged by the days of each, those of a
    mass added up. A month without a value in a cell that has others emits nothing there. InputError where the steps
    are something else.
    """
    with _open(local, layer.path) as dataset:
        lon, lat = (_axis(dataset, of, layer.path) for of in NAMES)
        variable = dataset.variables[layer.variable]
        n_times = int(np.prod(variable.shape[:-2]))
        if n_times not in (1, N_MONTHS) or np.prod(variable.shape[-2:]) > MOST_CELLS:
            allowed = f"one year or 12 months of at most {MOST_CELLS} cells"
            raise InputError(layer.path, f"{layer.variable} of {list(variable.shape)}", allowed)
        if n_times > 1:
            require_months(dataset, variable, layer.year, layer.path)
        places = [np.ma.filled(axis[:].astype(float), np.nan) for axis in (lon, lat)]
        grid, rows, columns = Grid.of(places[0], places[1], layer.path)
        is_turned = variable.dimensions[-2:] == (*lon.dimensions, *lat.dimensions)
        total = np.zeros((len(grid.latitude), len(grid.longitude)))
        n_values = np.zeros(total.shape, np.int8)
        for time, weight in enumerate(month_weights(layer.is_rate) if n_times > 1 else (1.0,)):
            index = map(int, np.unravel_index(time, variable.shape[:-2]) if variable.ndim > 2 else ())
            values = np.ma.filled(np.ma.asarray(variable[(*index, slice(None), slice(None))]).astype(float), np.nan)
            values = (values.T if is_turned else values)[np.ix_(rows, columns)]
            has_value = ~np.isnan(values)
            n_values += has_value
            values[(values < 0) & has_value] = -np.inf  # what is no emission is none of the year either
            np.add(total, weight * values, out=total, where=has_value)
    total[n_values == 0] = np.nan
    if layer.is_flux:
        total *= grid.areas_m2()[:, None] * (SECONDS_PER_YEAR / KG_PER_TONNE)
    else:
        total *= layer.tonnes
    return Cells(total, grid, int(((n_values > 0) & (n_values < n_times)).sum()))
