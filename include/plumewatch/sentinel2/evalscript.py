"""Evalscripts: the small JavaScript programs by which Sentinel Hub's Process API makes pixels; written, and checked.

https://docs.sentinel-hub.com/api/latest/evalscript/v3
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from plumewatch.errors import InputError, redact
from plumewatch.sensors.sentinel2 import QUANTIFICATION
from plumewatch.sentinel2.bands import CLOUD_PROBABILITY, SCENE_CLASSIFICATION

DATA_MASK = "dataMask"
"""Band, and output, that is 1 where there are data; it costs nothing."""
BANDS, CLASSES, CLOUD, ANGLES = "bands", "scl", "cloud", "angles"
"""Names of outputs."""
ANGLE_BANDS = ("sunZenithAngles", "sunAzimuthAngles", "viewZenithMean", "viewAzimuthMean")
"""Angles that the service has as bands, in degrees."""
REFLECTANCE_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
KNOWN_BANDS = (
    *REFLECTANCE_BANDS, "AOT", SCENE_CLASSIFICATION, "SNW", CLOUD_PROBABILITY, "CLP", "CLM", *ANGLE_BANDS, DATA_MASK,
)  # fmt: skip
"""Bands of sentinel-2-l2a; the Copernicus Data Space has no CLP and CLM."""
UINT8, UINT16, FLOAT32 = "UINT8", "UINT16", "FLOAT32"
SIMPLE = "SIMPLE"
FIRST_LINE = "//VERSION=3"

TOKEN = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<name>[A-Za-z_$][\w$]*)|(?P<number>-?\d+(?:\.\d+)?)|(?P<mark>[{}\[\]:,])""",
    re.DOTALL,
)
TRAILING_COMMA = re.compile(r",(?=[}\]])")
# What doesn't end goes on to the end of its line or of the text: so each character is looked at once.
NOT_CODE = re.compile(
    r"""//[^\n]*|/\*.*?(?:\*/|\Z)|"(?:[^"\\\n]|\\.)*(?:"|(?=\n)|\\?\Z)"""
    r"""|'(?:[^'\\\n]|\\.)*(?:'|(?=\n)|\\?\Z)""",
    re.DOTALL,
)
SETUP = re.compile(r"\bfunction\s+setup\s*\(\s*\)\s*\{\s*return\s*(?:\(\s*)?(?=\{)")
MOST_DEPTH = 50  # of brackets in brackets; an object with lists of objects with lists has four
MOST_CHARACTERS = 2**18  # the project's choice: such scripts have some thousand
PLAIN_SETUP = "function setup() { return {input: [...], output: [...]}; } with nothing in it that has to be computed"


@dataclass(frozen=True)
class Output:
    """One raster that a script makes."""

    name: str
    """Its id; the raster's file is called after it."""
    n_bands: int
    """Bands."""
    sample_type: str
    """UINT8, UINT16, FLOAT32 ..."""


@dataclass(frozen=True)
class Evalscript:
    """A script, and what its setup() says."""

    text: str
    """The program."""
    inputs: tuple[str, ...]
    """Bands that it reads."""
    outputs: tuple[Output, ...]
    """Rasters that it makes."""

    @property
    def checksum(self) -> str:
        """SHA-256 of the text in hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def n_charged_bands(self) -> int:
        """Bands that count for the price: all but the mask of data."""
        return len(set(self.inputs) - {DATA_MASK})

    @property
    def is_32_bit(self) -> bool:
        """Whether an output has 32 bits a sample, which doubles the price."""
        return any(output.sample_type == FLOAT32 for output in self.outputs)


def write_bands_script(bands: Sequence[str]) -> Evalscript:
    """Return the script of reflectance x 10000 by band, rounded; where dataMask is 0 the numbers mean nothing."""
    outputs = (Output(BANDS, len(bands), UINT16), Output(DATA_MASK, 1, UINT8))
    values = ", ".join(f"Math.round({QUANTIFICATION} * sample.{band})" for band in bands)
    return _script([(band, "REFLECTANCE") for band in bands], outputs, {BANDS: values})


def write_classes_script() -> Evalscript:
    """Return the script of the scene classification and the cloud probability (percent)."""
    outputs = (Output(CLASSES, 1, UINT8), Output(CLOUD, 1, UINT8), Output(DATA_MASK, 1, UINT8))
    inputs = [(SCENE_CLASSIFICATION, "DN"), (CLOUD_PROBABILITY, "PERCENT")]
    values = {CLASSES: f"sample.{SCENE_CLASSIFICATION}", CLOUD: f"Math.round(sample.{CLOUD_PROBABILITY})"}
    return _script(inputs, outputs, values)


def write_angles_script() -> Evalscript:
    """Return the script of the angles of sun and view in degrees."""
    outputs = (Output(ANGLES, len(ANGLE_BANDS), FLOAT32), Output(DATA_MASK, 1, UINT8))
    values = {ANGLES: ", ".join(f"sample.{band}" for band in ANGLE_BANDS)}
    return _script([(band, "DEGREES") for band in ANGLE_BANDS], outputs, values)


def _script(inputs: Sequence[tuple[str, str]], outputs: Sequence[Output], values: dict[str, str]) -> Evalscript:
    bands, units = zip(*inputs, (DATA_MASK, "DN"), strict=True)
    made = ",\n      ".join(f'{{ id: "{o.name}", bands: {o.n_bands}, sampleType: "{o.sample_type}" }}' for o in outputs)
    returned = ",\n    ".join(
        f"{name}: [{value}]" for name, value in {**values, DATA_MASK: f"sample.{DATA_MASK}"}.items()
    )
    text = f"""{FIRST_LINE}
function setup() {{
  return {{
    input: [{{ bands: {json.dumps(bands)}, units: {json.dumps(units)} }}],
    output: [
      {made}
    ],
    mosaicking: "{SIMPLE}"
  }};
}}
function evaluatePixel(sample) {{
  return {{
    {returned}
  }};
}}
"""
    return Evalscript(text, bands, tuple(outputs))


def read_own_script(file: str, text: str, bands: Sequence[str]) -> Evalscript:
    """Return a user's script of the reflectance of `bands`, read from `file`.

    Raises InputError, which names the file, where it isn't version 3, its setup() can't be read, a band isn't known or
    one of the area's isn't read, or its outputs aren't `bands` (UINT16, reflectance x 10000 in the order of the area's
    bands) and `dataMask`.
    """
    script = read_script(file, text)
    if unknown := [band for band in script.inputs if band not in KNOWN_BANDS]:
        raise InputError(file, f"input {', '.join(unknown)}", ", ".join(KNOWN_BANDS))
    if missing := [band for band in bands if band not in script.inputs]:
        has = ", ".join(script.inputs) or "nothing"
        raise InputError(file, f"no input {', '.join(missing)} (it has {has})", "all bands of the area as input")
    wanted = {BANDS: (len(bands), (UINT16,)), DATA_MASK: (1, (UINT8, "AUTO"))}
    found = {output.name: (output.n_bands, output.sample_type) for output in script.outputs}
    is_right = all(n == found.get(name, (0,))[0] and found[name][1] in types for name, (n, types) in wanted.items())
    if found.keys() != wanted.keys() or not is_right:
        told = ", ".join(f"{name} ({n} x {kind})" for name, (n, kind) in sorted(found.items())) or "none"
        allowed = f"{BANDS} ({len(bands)} x {UINT16}, reflectance x {QUANTIFICATION}) and {DATA_MASK} (1 x {UINT8})"
        raise InputError(file, f"outputs {told}", allowed)
    return script


def read_script(file: str, text: str) -> Evalscript:
    """Return what the setup() of a script says. Raises InputError, which names `file`, where that can't be read."""
    if len(text) > MOST_CHARACTERS:
        raise InputError(file, f"{len(text)} characters", f"at most {MOST_CHARACTERS}")
    text = text.removeprefix("\ufeff")  # of editors on Windows
    if not re.match(r"//\s*VERSION\s*=\s*3\b", text):
        raise InputError(
            file, f"first line {redact(str(text.splitlines()[:1]))}"[:120], f"{FIRST_LINE} as the first line"
        )
    code = NOT_CODE.sub(lambda match: " " * len(match[0]), text)  # braces in strings and comments are none
    setup = SETUP.search(code)
    if setup is None or not re.search(r"\bfunction\s+evaluatePixel\s*\(", code):
        missing = "setup() that returns an object" if setup is None else "function evaluatePixel"
        raise InputError(file, f"no {missing}", f"{PLAIN_SETUP}, and function evaluatePixel(sample)")
    said = _object(file, text[setup.end() :], code[setup.end() :])
    mosaicking = said.get("mosaicking", SIMPLE)
    if mosaicking != SIMPLE:
        raise InputError(file, f"mosaicking {mosaicking!r}", f"{SIMPLE}: one acquisition is asked for at a time")
    try:
        inputs = [band for one in _listed(said["input"]) for band in (one["bands"] if isinstance(one, dict) else [one])]
        outputs = [
            Output(str(one.get("id", "default")), int(one["bands"]), str(one.get("sampleType", "AUTO")))
            for one in _listed(said["output"])
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(file, f"setup() of another form ({type(error).__name__}: {error})", PLAIN_SETUP) from error
    return Evalscript(text, tuple(map(str, inputs)), tuple(outputs))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _object(file: str, text: str, code: str) -> dict[str, Any]:
    """Return the JavaScript object that a text begins with; `code` is the text without strings and comments."""
    depths = accumulate((mark in "{[") - (mark in "}]") for mark in code)
    end, depth = next(((n, depth) for n, depth in enumerate(depths, 1) if not 0 < depth <= MOST_DEPTH), (len(code), 0))
    if depth > MOST_DEPTH:
        raise InputError(file, f"setup() with brackets in brackets, deeper than {MOST_DEPTH}", PLAIN_SETUP)
    parts, at = [], 0
    literal = text[:end]
    while at < len(literal):
        token = TOKEN.match(literal, at)
        if token is None:
            raise InputError(file, f"setup() with {literal[at : at + 20]!r}", PLAIN_SETUP)
        kind, value = token.lastgroup, token[0]
        if kind == "string":
            parts.append(json.dumps(value[1:-1]))
        elif kind == "name":
            parts.append(value if value in ("true", "false", "null") else json.dumps(value))
        elif kind:
            parts.append(value)
        at = token.end()
    try:
        said = json.loads(TRAILING_COMMA.sub("", "".join(parts)))
    except ValueError as error:
        raise InputError(file, f"setup() that can't be read ({error})", PLAIN_SETUP) from error
    return dict(said)
