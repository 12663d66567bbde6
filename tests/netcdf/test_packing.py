"""Scale, offset, fill and valid range count as the conventions have them, or are refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from plumewatch.errors import InputError
from plumewatch.netcdf.packing import Packing

NAN = float("nan")
MEANT: dict[str, tuple[dict[str, Any], str, list[float], list[float]]] = {
    "nothing stated": ({}, "f4", [1.5, -2], [1.5, -2]),
    "no numbers": ({}, "f8", [1, NAN, np.inf], [1, NAN, NAN]),
    "scale": ({"scale_factor": 0.5}, "i2", [3, -4], [1.5, -2]),
    "scale and offset": ({"scale_factor": [2.0], "add_offset": 5}, "u1", [0, 255], [5, 515]),
    "numbers as texts": ({"scale_factor": "0.5", "_FillValue": "-9"}, "i2", [2, -9], [1, NAN]),
    "an array of one": ({"add_offset": np.array([[900.0]], "f4")}, "i4", [80], [980]),
    "fill": ({"_FillValue": -32767, "scale_factor": 0.1}, "i2", [-32767, 10], [NAN, 1]),
    "both fills": ({"_FillValue": -1, "missing_value": -9}, "f4", [-1, -9, 2], [NAN, NAN, 2]),
    "several missing values": ({"missing_value": [-8, -9]}, "f4", [-8, -9, 2], [NAN, NAN, 2]),
    "a float fill is that of its type": ({"_FillValue": 1e20}, "f4", [1e20, 3, NAN], [NAN, 3, NAN]),
    "a fill that the type can't hold": ({"_FillValue": -99999, "missing_value": 0.5}, "i2", [0, 31073], [0, 31073]),
    "a fill beyond all floats": ({"_FillValue": 1e300}, "f4", [1], [1]),
    "a fill that is nan": ({"_FillValue": NAN}, "f4", [NAN, 1], [NAN, 1]),
    "range": ({"valid_range": [0, 10]}, "f4", [-1, 0, 10, 11], [NAN, 0, 10, NAN]),
    "least": ({"valid_min": 0.0}, "f4", [-1, 0, 99], [NAN, 0, 99]),
    "a packed range": ({"scale_factor": 0.1, "valid_range": np.array([0, 5], "i2")}, "i2", [-1, 5, 6], [NAN, 0.5, NAN]),
    "an unpacked range": ({"scale_factor": 0.1, "valid_max": 0.5}, "i2", [5, 6], [0.5, NAN]),
    "turned by its scale": ({"scale_factor": -1.0, "valid_range": [0.0, 5.0]}, "i2", [-5, 1], [5, NAN]),
    "the narrower of two": ({"valid_range": [0, 10], "valid_max": 5}, "f4", [5, 6], [5, NAN]),
}


@pytest.mark.parametrize("attributes, dtype, stored, values", MEANT.values(), ids=MEANT)
def test_stored_numbers_become_values(
    attributes: dict[str, Any], dtype: str, stored: list[float], values: list[float]
) -> None:
    found = Packing.of(attributes, "x").unpack(np.array(stored, dtype))
    np.testing.assert_allclose(found, values, rtol=1e-7)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a scale of zero": ({"scale_factor": 0.0}, "scale_factor 0"),
    "a scale that is none": ({"scale_factor": "none"}, "scale_factor 'none'"),
    "nan": ({"scale_factor": NAN}, "scale_factor nan"),
    "no end": ({"add_offset": np.inf}, "add_offset inf"),
    "two offsets": ({"add_offset": [1.0, 2.0]}, "add_offset"),
    "no offset": ({"add_offset": []}, "add_offset"),
    "a list in a list": ({"scale_factor": {"a": 1}}, "scale_factor"),
    "unsigned": ({"_Unsigned": "true"}, "_Unsigned"),
    "unsigned in bytes": ({"_Unsigned": np.bytes_("True")}, "_Unsigned"),
    "a fill of words": ({"_FillValue": "none"}, "_FillValue 'none'"),
    "two fills": ({"_FillValue": [1, 2]}, "_FillValue"),
    "a missing value of words": ({"missing_value": ["-9", "n/a"]}, "missing_value 'n/a'"),
}


@pytest.mark.parametrize("attributes, found", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_by_name(attributes: dict[str, Any], found: str) -> None:
    with pytest.raises(InputError, match=f"u10: {found}.*; allowed: "):
        Packing.of(attributes, "u10")


@pytest.mark.parametrize("said", ["wide", [1, 2, 3], NAN, [NAN, 1.0], {}])
def test_a_range_that_is_none_says_nothing_and_is_named(said: Any, caplog: pytest.LogCaptureFixture) -> None:
    found = Packing.of({"valid_range": said}, "u10").unpack(np.array([1e9, 1.0]))
    assert found.tolist() == [1e9, 1.0] and "u10: valid_range" in caplog.text
