"""Examples in the library's docstrings give what they say.

Not by --doctest-modules: that imports the helpers of the tests too, a second time and under other names.
"""

from __future__ import annotations

import doctest
import importlib

import pytest

from tools.checkout import CHECKOUT

INCLUDE = CHECKOUT / "include"
EXAMPLES = {
    ".".join(path.relative_to(INCLUDE).with_suffix("").parts).removesuffix(".__init__"): n
    for path in sorted(INCLUDE.rglob("*.py"))
    if (n := path.read_text(encoding="utf-8").count(">>> "))
}


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 20 and "plumewatch.oco2.flux" in EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_give_what_they_say(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.REPORT_NDIFF)
    assert (result.attempted, result.failed) == (EXAMPLES[name], 0)
