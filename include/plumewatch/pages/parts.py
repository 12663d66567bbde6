"""Tables and lists of pages without a program: plain values in, escaped HTML out."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Link:
    """A cell that leads to a page, empty where there is none."""

    href: str | None
    text: str = "its page"


def render_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], without: str = "None.") -> str:
    """Return a table of texts, numbers and links, `without` where it has no rows; None is an empty cell.

    >>> render_table(("name",), [["<b>"]]).count("<td>&lt;b&gt;</td>"), render_table(("name",), [])
    (1, '<p>None.</p>')
    """
    if not rows:
        return f"<p>{html.escape(without)}</p>"
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def render_list(texts: Iterable[str]) -> str:
    """Return texts as a list."""
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in texts) + "</ul>"


def _cell(value: Any) -> str:
    if isinstance(value, Link):
        return f'<a href="{html.escape(value.href)}">{html.escape(value.text)}</a>' if value.href else ""
    return "" if value is None else html.escape(str(value))
