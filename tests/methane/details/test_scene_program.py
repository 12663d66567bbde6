"""scene.js as it runs: the unusual pixels under pointer, wheel and keys, the table and the lists beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shapely
from browser import run_page
from plumewatch.methane.details.scene_content import MethodRows, scene_content
from plumewatch.methane.details.scene_pages import render_scene
from plumewatch.tables import ANOMALIES, PLUMES

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"'"
DAY, WIDTH, HEIGHT = "2025-08-31", 900.0, 600.0
CELL = 1.8e-4
LATITUDE = 60.0
CELLS = ((0, 0, 0.51, -1), (0, 100, 0.62, 0), (100, 0, 0.73, 1), (100, 100, 0.84, 1))
"""Row, column, score and cluster of pixels at the corners of a square in degrees, in the order that they are drawn."""
STEPS = """
    const canvas = element("scatter");
    const middle = ([x, y, w, h]) => [x + w / 2, y + h / 2];
    const points = async () => (await painted()).filter((c) => c.name === "fillRect").map((c) => middle(c.args));
    const strokes = async (name) => (await painted()).filter((c) => c.name === name);
    const point = ([clientX, clientY], more = {}) => ({ clientX, clientY, pointerId: 1, ...more });
    const tell = (at) => {
      fire(canvas, "pointermove", point(at));
      return element("tip").hidden ? null : element("tip").textContent;
    };
"""


def anomalies(west: float = 56.0, cells: tuple = CELLS) -> list[dict]:
    return [
        {
            "scene_id": "S", "row": r, "col": c, "score": score, "cluster": cluster,
            "longitude": (west + CELL * c + 180.0) % 360.0 - 180.0, "latitude": LATITUDE - CELL * r,
        }
        for r, c, score, cluster in cells
    ]  # fmt: skip


def plume(plume_id: str, status: str, col: float, **more: object) -> dict:
    lon, lat = 56.0 + CELL * col, LATITUDE - CELL * 50
    return dict.fromkeys(PLUMES.schema.names) | {
        "plume_id": plume_id, "scene_id": "S", "reference_scene_ids": [], "longitude": lon, "latitude": lat,
        "area_m2": 250_000.0, "ime_kg": 1234.0, "status": status, "probability": 0.997, "emission_kg_h": 5200.0,
        "emission_kg_h_low": 3100.0, "emission_kg_h_high": 7800.0, "emission_status": "ok",
        "geometry": shapely.box(lon - CELL, lat - CELL, lon + CELL, lat + CELL).wkb,
    } | more  # fmt: skip


SEARCHED = {"scene_id": "S", "outcome": "searched", "clear_fraction": 0.5, "detection_limit": 1500.0}


def page_of(*plumes: dict, west: float = 56.0, cells: tuple = CELLS) -> str:
    methods = [
        MethodRows("multi_pass", PLUMES.from_pylist(list(plumes)), [SEARCHED], files=["a.png", "a.json"]),
        MethodRows("single_pass", None),
    ]
    return render_scene(scene_content("field", DAY, "S", ANOMALIES.from_pylist(anomalies(west, cells)), methods))


@pytest.fixture(scope="module")
def run() -> Callable[[str], Any]:
    """Run steps on the page of four pixels, an accepted plume and a refused one."""
    page = page_of(plume("a", "accepted", 25), plume("r", "too_small", 75, probability=0.2))
    return lambda steps: run_page(page, STEPS + steps)


def test_pixels_lie_as_on_the_ground_noise_below_clusters(run: Callable[[str], Any]) -> None:
    seen = run("""
        const rects = (await painted()).filter((c) => c.name === "fillRect");
        return rects.map((c) => [...middle(c.args), c.fillStyle, c.args[2]]);
    """)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners = [place[:2] for place in seen]
    noise, *clusters = (place[2] for place in seen)
    assert noise == "#9aa3ab" and clusters[0] != clusters[1] == clusters[2] and noise not in clusters
    assert (x0, y0, x3, y3) == pytest.approx((x2, y1, x1, y2)) and x0 < x3 and y0 < y3  # east is right, north is up
    assert (x3 - x0) / (y3 - y0) == pytest.approx(0.5, abs=1e-3)  # the cosine of the latitude
    assert np.mean(corners, axis=0) == pytest.approx((WIDTH / 2, HEIGHT / 2), abs=1)
    assert y3 - y0 == pytest.approx(0.92 * (HEIGHT - 30), abs=2)  # the whole scene, and a margin
    assert seen[0][3] == pytest.approx((y3 - y0) / 100)  # a cell as large as it is on the ground


def test_under_the_pointer_stands_the_nearest_pixel(run: Callable[[str], Any]) -> None:
    told = run("""
        const places = await points();
        const near = places.map(([x, y]) => tell([x + 3, y - 3]));
        return [...near, tell([places[0][0] + 20, places[0][1]])];
    """)
    assert told == [
        "in no cluster (noise)\nscore 0.510\n56.00000°E 60.00000°N",
        "cluster 0\nscore 0.620\n56.01800°E 60.00000°N",
        "cluster 1\nscore 0.730\n56.00000°E 59.98200°N",
        "cluster 1\nscore 0.840\n56.01800°E 59.98200°N",
        None,
    ]


def test_of_pixels_side_by_side_the_nearer_is_told() -> None:
    page = page_of(cells=((0, 0, 0.51, 0), (0, 1, 0.62, 0)))
    steps = "const [a, b] = await points(); return [b[0] - a[0], tell([a[0] + 3, a[1]]), tell([b[0] - 3, b[1]])];"
    apart, left, right = run_page(page, STEPS + steps)
    assert 7 < apart < 9  # pixels of the screen: both are near enough to be told
    assert "score 0.510" in left and "score 0.620" in right


def test_what_isnt_shown_isnt_told_either(run: Callable[[str], Any]) -> None:
    seen = run("""
        const places = await points(), result = [];
        for (const id of ["show-noise", "show-clusters"]) {
          change(element(id), { checked: false });
          result.push([(await points()).length, tell(places[0]), tell(places[1])?.split("\\n")[0] ?? null]);
        }
        return result;
    """)
    assert seen == [[3, None, "cluster 0"], [0, None, None]]


def test_the_wheel_zooms_about_the_pointer(run: Callable[[str], Any]) -> None:
    before, after, told, prevented = run("""
        const before = await points();
        const { prevented } = fire(canvas, "wheel", point(before[3], { deltaY: -200, deltaMode: 0 }));
        const after = await points();
        return [before, after, tell(after.at(-1)), prevented];
    """)
    (x2, y2), (x3, y3) = before[2:]
    assert prevented and told.startswith("cluster 1\nscore 0.840")
    np.testing.assert_allclose(after, [(x3 + (x2 - x3) * np.exp(0.3), y2), (x3, y3)])  # what left isn't drawn
    out, lines = (
        run(f"""
        const before = await points();
        fire(canvas, "wheel", point(before[3], {{ deltaY: {delta}, deltaMode: {mode} }}));
        return points();
    """)
        for delta, mode in ((200, 0), (6, 1))
    )
    np.testing.assert_allclose(np.array(out) - (x3, y3), (np.array(before) - (x3, y3)) / np.exp(0.3), atol=1e-6)
    np.testing.assert_allclose(lines, out)  # a wheel that counts lines


def test_zooming_ends_where_there_is_nothing_more_to_see(run: Callable[[str], Any]) -> None:
    least, most = run("""
        const [at] = await points(), wheel = (deltaY) => fire(canvas, "wheel", point(at, { deltaY, deltaMode: 0 }));
        wheel(1e5);
        const places = await points();
        wheel(-1e5);
        const [cell] = (await painted()).filter((c) => c.name === "fillRect");
        return [places[2][1] - places[0][1], cell.args[2]];
    """)
    assert (least, most) == (pytest.approx(0.02 * 100), pytest.approx(60.0))  # pixels of the screen


def test_a_drag_moves_the_scene_and_two_fingers_zoom(run: Callable[[str], Any]) -> None:
    before, moved, ended, pinched = run("""
        const before = await points();
        fire(canvas, "pointerdown", point([300, 300]));
        fire(canvas, "pointermove", point([340, 290]));
        const moved = await points();
        fire(canvas, "pointerup", point([340, 290]));
        fire(canvas, "pointermove", point([0, 0]));
        const ended = await points();
        fire(canvas, "pointerdown", point([450, 300]));
        fire(canvas, "pointerdown", point([450, 350], { pointerId: 2 }));
        fire(canvas, "pointermove", point([450, 325], { pointerId: 2 }));
        return [before, moved, ended, await points()];
    """)
    np.testing.assert_allclose(np.array(moved) - before, [[40.0, -10.0]] * 4, atol=1e-6)
    assert ended == moved
    np.testing.assert_allclose(np.diff(pinched, axis=0), np.diff(moved, axis=0) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "shift"),
    [("ArrowLeft", (60, 0)), ("ArrowRight", (-60, 0)), ("ArrowUp", (0, 60)), ("ArrowDown", (0, -60))],
)
def test_arrow_keys_move_the_view(run: Callable[[str], Any], key: str, shift: tuple[int, int]) -> None:
    before, after, prevented = run(f"""
        const before = await points(), {{ prevented }} = fire(canvas, "keydown", {{ key: "{key}" }});
        return [before, await points(), prevented];
    """)
    shown = [p for p in np.array(before) + shift if -4 < p[1] < HEIGHT + 4]
    assert prevented
    np.testing.assert_allclose(after, shown, atol=1e-6)


@pytest.mark.parametrize(
    ("act", "factor"),
    [
        ("fire(canvas, 'keydown', { key: '-' })", 1 / 1.5),
        ("fire(canvas, 'keydown', { key: '-' }); fire(canvas, 'keydown', { key: '+' })", 1.0),
        ("fire(canvas, 'keydown', { key: '-' }); fire(canvas, 'keydown', { key: '=' })", 1.0),
        ("fire(canvas, 'keydown', { key: '-' }); fire(canvas, 'keydown', { key: '0' })", 1.0),
        ("fire(canvas, 'keydown', { key: 'x' })", 1.0),
        ("click(element('farther'))", 1 / 1.6),
        ("click(element('farther')); click(element('closer'))", 1.0),
        ("fire(canvas, 'keydown', { key: 'ArrowLeft' }); click(element('whole'))", 1.0),
    ],
)
def test_keys_and_buttons_zoom(run: Callable[[str], Any], act: str, factor: float) -> None:
    before, after = run(f"const before = await points(); {act}; return [before, await points()];")
    np.testing.assert_allclose(
        np.array(after) - (WIDTH / 2, HEIGHT / 2), (np.array(before) - (WIDTH / 2, HEIGHT / 2)) * factor, atol=1e-6
    )


def test_outlines_of_plumes_are_drawn_those_refused_only_when_asked(run: Callable[[str], Any]) -> None:
    seen = run("""
        const isOutline = (colour) => ["#00614a", "#8a3b00"].includes(colour);
        const drawn = async () => (await strokes("stroke")).map((c) => c.strokeStyle).filter(isOutline);
        const states = [await drawn()];
        for (const [id, checked] of [["show-refused", true], ["show-accepted", false]]) {
          change(element(id), { checked });
          states.push(await drawn());
        }
        return states;
    """)
    assert seen == [["#00614a"], ["#00614a", "#8a3b00"], ["#8a3b00"]]


def test_a_candidate_that_is_chosen_is_looked_at_and_marked(run: Callable[[str], Any]) -> None:
    seen = run("""
        const [, second] = all(".candidate");
        click(second);
        const lines = (await strokes("stroke")).map((c) => c.strokeStyle);
        const moves = (await strokes("moveTo")).map((c) => c.args);
        const current = (one) => one.getAttribute("aria-current");
        const state = all(".candidate").map((one) => [current(one), one.seen, one.closest("details").open]);
        const ends = (await strokes("lineTo")).map((c) => [c.args[0] - 450, c.args[1] - 300]);
        const [link] = all(".link");
        click(link);
        return { lines, moves, ends, state, then: all(".candidate").map(current) };
    """)
    assert seen["state"] == [["false", 0, True], ["true", 1, True]] and seen["then"] == ["true", "false"]
    assert "#111111" in seen["lines"]  # also where refused ones are hidden
    near = [abs(y) for x, y in seen["ends"] if abs(x) < 30 and abs(y) < 30]
    assert max(near) == pytest.approx(0.45 * (HEIGHT - 30) / 30, rel=0.01)  # the outline of two cells, among thirty
    assert [pytest.approx((WIDTH / 2 - 8, HEIGHT / 2), abs=1)] * 2 == [
        place for place in seen["moves"] if abs(place[0] - (WIDTH / 2 - 8)) < 1 and abs(place[1] - HEIGHT / 2) < 1
    ]


def test_the_table_says_what_the_content_says(run: Callable[[str], Any]) -> None:
    seen = run("""
        const rows = all("#methods tr").map((row) => row.children.map((cell) => cell.textContent));
        const links = all(".files a").map((one) => [one.textContent, one.href]);
        return { rows, links, sights: texts("#sights li"), heads: texts("summary"), items: texts(".candidate"),
                 legend: texts("#legend label").slice(0, 2), squares: all("#cluster-squares i").length,
                 open: all("details").map((one) => one.open) };
    """)
    assert seen["rows"] == [
        [
            "multi_passagainst earlier dates", "2", "1", "above 0.99", "5.2 t/h3.1 t/h to 7.8 t/h (68 %)",
            "1 too small", "56.0045°E 59.9910°N",
        ],
        ["single_passone date alone", "not run"],
    ]  # fmt: skip
    sight = "searched, 50 % of what was seen is clear, detection limit 1,500 kg/h"
    assert seen["sights"] == [f"multi_pass: {sight}", "single_pass: not run"]
    assert seen["heads"] == ["multi_pass: 2 candidates"] and seen["open"] == [True]
    assert seen["items"][0].endswith(
        "acceptedprobability above 0.99, 1,234 kg of methane, 25.0 ha, 5.2 t/h, 3.1 t/h to 7.8 t/h (68 %)"
    )
    assert seen["items"][1].endswith("probability 0.20, 1,234 kg of methane, if it is some, 25.0 ha")
    folder = f"../../../method=multi_pass/area=field/date={DAY}"
    assert seen["links"] == [["picture", f"{folder}/a.png"], ["all details", f"{folder}/a.json"]]
    assert seen["legend"] == ["noise (1)", "clusters (2)"] and seen["squares"] == 2


def test_names_of_strangers_are_text() -> None:
    """The stand-in's DOM throws where a text is made markup; and no element comes of one."""
    page = page_of(plume(NASTY, NASTY, 25), plume("b", NASTY, 30, scene_id="S"))
    steps = "all('.candidate').forEach(click); return [texts('.candidate'), all('script, img').length];"
    items, n_elements = run_page(page, STEPS + steps)
    assert all(NASTY in text for text in items) and len(items) == 2 and n_elements == 2  # the content and the program


def test_the_canvas_follows_the_window_and_keeps_its_view(run: Callable[[str], Any]) -> None:
    before, after, size = run("""
        fire(canvas, "keydown", { key: "-" });
        const before = await points();
        resize(canvas, 700, 500);
        return [before, await points(), [canvas.width, canvas.height]];
    """)
    assert size == [700, 500]
    np.testing.assert_allclose(np.array(after) - before, [[-100.0, -50.0]] * 4, atol=1e-6)


def test_over_the_antimeridian_pixels_stay_together_and_are_named_right() -> None:
    steps = """
        const places = await points();
        return [places[1][0] - places[0][0], places.map((at) => tell(at).split("\\n")[2].split(" ")[0]),
                (await strokes("fillText")).map((c) => c.args[0])];
    """
    width, told, labels = run_page(page_of(west=179.991), STEPS + steps)
    assert 0 < width < 400 and told == ["179.99100°E", "179.99100°W"] * 2
    assert {text[-1] for text in labels if text.startswith("1")} >= {"E", "W"}


def test_a_single_pixel_is_shown_with_some_ground_around_it() -> None:
    [[x, y]] = run_page(page_of(cells=((0, 0, 0.5, -1),)), STEPS + "return points();")
    assert (x, y) == pytest.approx((WIDTH / 2, HEIGHT / 2))


def test_the_scale_is_as_long_as_it_says(run: Callable[[str], Any]) -> None:
    length, label, row = run("""
        const calls = await painted(), n = calls.findLastIndex((c) => c.name === "lineTo"), places = await points();
        const [label] = calls.filter((c) => c.name === "fillText").at(-1).args;
        return [calls[n].args[0] - calls[n - 1].args[0], label, (places[2][1] - places[0][1]) / 100];
    """)
    assert label == "500 m" and length / 500.0 == pytest.approx(row / (CELL * 111_195.0), rel=1e-3)
