"""The chart as SVG: services, the DAGs that they feed, what these hand on, the DAGs that take it up.

An edge in the colour of assets makes a DAG run; a thin one is a table, read and written as whole partitions.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from xml.sax.saxutils import escape

from tools.chart.flow import SERVICES, DagNode, hosts_of

WIDTH, TOP, GAP, PAD, LINE = 1080, 64, 16, 10, 17
COLUMNS = {"services": (14, 234), "dags": (304, 278), "between": (650, 128), "followers": (842, 224)}
"""Left edge and width."""
HEADINGS = {
    "services": "outside", "dags": "DAGs by time and by hand", "between": "handed on", "followers": "DAGs on assets",
}  # fmt: skip
CHARACTER = {"title": 7.9, "line": 6.65}
"""Width of a letter."""
STYLE = """
  :root { --paper: #ffffff; --ink: #1f2328; --soft: #59636e; --box: #f6f8fa; --rim: #c4ccd4;
    --asset: #b35900; --asset-fill: #fff1e0; --table: #1a7f5a; --table-fill: #e4f5ec; --from: #6e7fa6; }
  @media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --box: #161b22;
    --rim: #3d444d; --asset: #f0983e; --asset-fill: #3a2710;
    --table: #4cc38a; --table-fill: #10291e; --from: #7f93c4; } }
  text { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--ink); }
  .paper { fill: var(--paper); }
  .title { font-size: 13px; font-weight: 600; } .line { font-size: 11px; fill: var(--soft); }
  .heading { font-size: 13px; fill: var(--soft); }
  .box { fill: var(--box); stroke: var(--rim); } .table { fill: var(--table-fill); stroke: var(--table); }
  .asset { fill: var(--asset-fill); stroke: var(--asset); }
  .edge { fill: none; stroke-width: 1.2; opacity: .8; }
  .from { stroke: var(--from); } .by-table { stroke: var(--table); } .by-asset { stroke: var(--asset); }
  .by-asset { stroke-width: 2.2; }
  .tip-table { fill: var(--table); } .tip-asset { fill: var(--asset); } .tip-from { fill: var(--from); }
"""


@dataclass
class Box:
    """One box of a column."""

    name: str
    column: str
    kind: str
    title: str
    lines: list[str]
    top: int = 0

    @property
    def left(self) -> int:
        """Its left edge."""
        return COLUMNS[self.column][0]

    @property
    def right(self) -> int:
        """Its right edge."""
        return self.left + COLUMNS[self.column][1]

    @property
    def height(self) -> int:
        """Its height, by its lines."""
        return 2 * PAD + LINE * (1 + len(self.lines)) - 4

    @property
    def middle(self) -> int:
        """Half way down."""
        return self.top + self.height // 2


@dataclass(frozen=True)
class Edge:
    """From one box to another."""

    source: str
    target: str
    kind: str
    """from, table or asset."""


def draw(dags: Sequence[DagNode]) -> str:
    """Return the chart as the text of an SVG file; the same DAGs give the same bytes."""
    followers = [dag for dag in dags if dag.waits_for]
    others = [dag for dag in dags if not dag.waits_for]
    edges = _edges(others, followers)
    boxes = {box.name: box for box in _boxes(others, followers, edges)}
    columns = _order(boxes, edges)
    height = max(_stack(columns[name]) for name in COLUMNS)
    for name in COLUMNS:
        _centre(columns[name], height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + 46}" role="img" '
        'aria-label="Services, DAGs, tables and assets of Plumewatch, and how they hand on">',
        f"<style>{STYLE}</style>", f'<rect class="paper" width="{WIDTH}" height="{height + 46}" rx="8"/>', *_tips(),
        *(f'<text class="heading" x="{COLUMNS[name][0]}" y="34">{text}</text>' for name, text in HEADINGS.items()),
        *(_drawn_edge(edge, boxes, edges) for edge in edges), *(_drawn_box(box) for box in boxes.values()),
        *_legend(height + 28), "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _edges(others: Sequence[DagNode], followers: Sequence[DagNode]) -> list[Edge]:
    """Services to the DAGs that read them, these to what the followers read or wait for, and that to the followers."""
    tables = {table for dag in followers for table in dag.reads}
    edges = [Edge(title, dag.dag_id, "from") for dag in others for title in dag.services]
    for dag in others:
        edges += [Edge(dag.dag_id, table, "table") for table in dag.writes if table in tables]
        edges += [Edge(dag.dag_id, asset, "asset") for asset in dag.hands_on]
        edges += [Edge(dag.dag_id, other, "asset") for other in dag.starts]
    for dag in followers:
        edges += [Edge(table, dag.dag_id, "table") for table in dag.reads]
        edges += [Edge(asset, dag.dag_id, "asset") for asset in dag.waits_for]
    return edges


def _boxes(others: Sequence[DagNode], followers: Sequence[DagNode], edges: Sequence[Edge]) -> list[Box]:
    known = {dag.dag_id for dag in (*others, *followers)}
    of_people = {edge.source for edge in edges if edge.kind == "table"}  # tables that no DAG writes are boxes too
    between = sorted(({edge.target for edge in edges if edge.kind != "from"} | of_people) - known)
    assets = {asset for dag in others for asset in dag.hands_on}
    boxes = [
        Box(s.title, "services", "box", s.title, [line for text in (*s.lines, *hosts_of(s)) for line in _wrapped(text)])
        for s in SERVICES
    ]  # fmt: skip
    for name in between:
        kind = "asset" if name in assets else "table"
        boxes.append(Box(name, "between", kind, name.removeprefix("plumewatch_"), [kind]))
    for column, dags in (("dags", others), ("followers", followers)):
        boxes += [Box(dag.dag_id, column, "box", *_told(dag, column, set(between))) for dag in dags]
    return boxes


def _told(dag: DagNode, column: str, between: set[str]) -> tuple[str, list[str]]:
    """A DAG's name, when it runs, and what it reads and writes of which no edge tells."""
    letters = int((COLUMNS[column][1] - 2 * PAD) / CHARACTER["line"])
    writes = [table for table in dag.writes if dag.waits_for or table not in between]
    reads = [table for table in dag.reads if not dag.waits_for]
    lines = [] if dag.waits_for else textwrap.wrap(dag.schedule, letters, subsequent_indent="  ")
    lines += _list("reads", reads, letters) + _list("writes", writes, letters)
    lines += _list("hands on", dag.hands_on if dag.waits_for else (), letters)
    title = dag.dag_id
    if len(title) * CHARACTER["title"] > COLUMNS[column][1] - 2 * PAD:
        title, rest = title.split("_and_")
        lines = [f"and_{rest}", *lines]
        title = f"{title}_"
    return title, lines


def _list(verb: str, names: Sequence[str], letters: int) -> list[str]:
    return textwrap.wrap(f"{verb} {', '.join(names)}", letters, subsequent_indent="  ") if names else []


def _wrapped(text: str) -> list[str]:
    letters = int((COLUMNS["services"][1] - 2 * PAD) / CHARACTER["line"])
    return textwrap.wrap(text, letters, break_long_words=True) or [text]


def _order(boxes: dict[str, Box], edges: Sequence[Edge]) -> dict[str, list[Box]]:
    """Each column from top to bottom, so that few edges cross: by the mean place of what a box leads to."""
    columns = {name: [box for box in boxes.values() if box.column == name] for name in COLUMNS}
    columns["followers"].sort(key=lambda box: box.name, reverse=True)
    for column, after in (("between", "followers"), ("dags", "between"), ("services", "dags")):
        place, members = {box.name: i for i, box in enumerate(columns[after])}, list(columns[column])

        def mean(box: Box, place: dict[str, int] = place, members: list[Box] = members) -> tuple[float, str]:
            led = [place[e.target] for e in edges if e.source == box.name and e.target in place]
            started = [e.target for e in edges if e.source == box.name and boxes[e.target].column == box.column]
            if not led and started:
                return mean(boxes[started[0]], place, members)[0] + 0.01, box.name
            if not led and (pair := [b for b in members if b.title == box.title and b is not box]):
                return mean(pair[0], place, members)[0] + 0.01, box.name  # beside its table
            return (fmean(led) if led else len(place)), box.title

        columns[column].sort(key=mean)
    return columns


def _stack(column: Sequence[Box]) -> int:
    """Put the boxes of a column below each other; return where they end."""
    top = TOP
    for box in column:
        box.top = top
        top += box.height + GAP
    return top


def _centre(column: Sequence[Box], height: int) -> None:
    """Spread a column that is shorter than the picture over its height."""
    free = (height - TOP - sum(box.height for box in column)) // (len(column) + 1) if len(column) else 0
    top = TOP
    for box in column:
        top += free
        box.top, top = top, top + box.height


def _drawn_edge(edge: Edge, boxes: dict[str, Box], edges: Sequence[Edge]) -> str:
    source, target = boxes[edge.source], boxes[edge.target]
    kind = "from" if edge.kind == "from" else f"by-{edge.kind}"
    leaving = _port(source, edge, sorted(_leaving(source, boxes, edges), key=lambda e: boxes[e.target].top))
    if source.column == target.column:  # one DAG makes another run: around their left edges
        x, y0, y1 = source.left, source.middle, target.middle
        path = f"M{x} {y0} C{x - 34} {y0} {x - 34} {y1} {x - 7} {y1}"
    else:
        arriving = _port(target, edge, sorted(_arriving(target, boxes, edges), key=lambda e: boxes[e.source].top))
        x0, x1 = source.right, target.left - 7
        bend = (x1 - x0) // 2
        path = f"M{x0} {leaving} C{x0 + bend} {leaving} {x1 - bend} {arriving} {x1} {arriving}"
    return f'<path class="edge {kind}" d="{path}" marker-end="url(#tip-{edge.kind})"/>'


def _leaving(box: Box, boxes: dict[str, Box], edges: Sequence[Edge]) -> list[Edge]:
    return [e for e in edges if e.source == box.name and boxes[e.target].column != box.column]


def _arriving(box: Box, boxes: dict[str, Box], edges: Sequence[Edge]) -> list[Edge]:
    return [e for e in edges if e.target == box.name and boxes[e.source].column != box.column]


def _port(box: Box, edge: Edge, edges: Sequence[Edge]) -> int:
    """Where an edge meets the side of a box: spread over it from top to bottom, as their other ends are."""
    if edge not in edges:
        return box.middle
    room = box.height - 16
    return box.top + 8 + room * (2 * edges.index(edge) + 1) // (2 * len(edges))


def _drawn_box(box: Box) -> str:
    x, y, width = box.left, box.top, box.right - box.left
    radius = 14 if box.kind == "asset" else 5
    rows = [
        f'<rect class="{box.kind}" x="{x}" y="{y}" width="{width}" height="{box.height}" rx="{radius}"/>',
        f'<text class="title" x="{x + PAD}" y="{y + PAD + 11}">{escape(box.title)}</text>',
    ]
    for i, line in enumerate(box.lines):
        kind = "title" if line.startswith("and_") else "line"
        at = f'x="{x + PAD}" y="{y + PAD + 11 + LINE * (i + 1)}"'
        rows.append(f'<text class="{kind}" {at} xml:space="preserve">{escape(line)}</text>')
    return "\n".join(rows)


def _tips() -> list[str]:
    return [
        f'<marker id="tip-{kind}" markerUnits="userSpaceOnUse" markerWidth="8" markerHeight="8" refX="1" refY="4" '
        f'orient="auto"><path class="tip-{kind}" d="M0 0 L8 4 L0 8 z"/></marker>'
        for kind in ("from", "table", "asset")
    ]


def _legend(y: int) -> list[str]:
    shown = (
        ("by-asset", "an asset event: makes a DAG run, for the same key"),
        ("by-table", "a table: whole partitions"),
    )
    parts, x = [], COLUMNS["services"][0]
    for kind, text in shown:
        parts.append(f'<path class="edge {kind}" d="M{x} {y - 4} h28"/>')
        parts.append(f'<text class="line" x="{x + 36}" y="{y}">{text}</text>')
        x += 60 + int(len(text) * CHARACTER["line"])
    return parts
