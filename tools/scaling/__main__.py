"""`python -m tools.scaling`: write the tables of docs/scaling.md anew from costs.yaml and services.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.checkout import CHECKOUT
from tools.scaling.table import rows

FILE = CHECKOUT / "docs" / "scaling.md"
FOLDER = Path(__file__).resolve().parent
BEGIN, END = "<!-- by python -m tools.scaling -->", "<!-- end -->"
DIGITS = 3


def values(entries: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of entries that have where they are from beside them."""
    return {name: float(entry["value"]) for name, entry in entries.items()}


def generated() -> str:
    """Return the tables: what each service needs, the unit costs, the volumes."""
    costs = yaml.safe_load((FOLDER / "costs.yaml").read_text(encoding="utf-8"))
    volumes = yaml.safe_load((FOLDER / "services.yaml").read_text(encoding="utf-8"))
    common, services = volumes["common"], volumes["services"]
    needs = {name: rows(values(costs), values(common | own)) for name, own in services.items()}
    lines = [f"| a day, on paper | unit | {' | '.join(needs)} |", "|---|---|" + "---:|" * len(needs)]
    for same in zip(*needs.values(), strict=True):
        shown = " | ".join(_number(row.value) for row in same)
        lines.append(f"| {same[0].name} | {same[0].unit} | {shown} |")
    lines += ["", "| unit cost | value | measured by |", "|---|---:|---|"]
    for name, cost in costs.items():
        lines.append(f"| `{name}`: {cost['what']} | {_number(cost['value'])} {cost['unit']} | {cost['by']} |")
    lines += ["", "| volume | value | from |", "|---|---:|---|"]
    told = common | {f"{service}: {name}": e for service, own in services.items() for name, e in own.items()}
    lines += [f"| {name} | {_number(entry['value'])} | {entry['from']} |" for name, entry in told.items()]
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """Return the page with the tables between its two marks."""
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n\n{generated()}\n\n{END}{rest.split(END)[1]}"


def _number(value: float) -> str:
    if value >= 10 ** (DIGITS - 1):
        return f"{round(value, DIGITS - 1 - len(str(int(value))) + 1):,.0f}"
    return f"{value:.{DIGITS}g}"


def main() -> None:
    """Write the file, and say so."""
    FILE.write_text(with_tables(FILE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{FILE.relative_to(CHECKOUT)} is written.")


if __name__ == "__main__":
    main()
