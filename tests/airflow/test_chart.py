"""The chart in the README shows the DAGs, assets, tables and services that there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from tools.chart.__main__ import FILE
from tools.chart.flow import SERVICES, DagNode, read_flow
from tools.chart.picture import draw


@pytest.fixture(scope="module")
def flow(dagbag: Any) -> list[DagNode]:
    return read_flow(dagbag.dags)


def test_the_chart_that_is_there_is_the_one_of_the_code(flow: list[DagNode]) -> None:
    assert FILE.read_text(encoding="utf-8") == draw(flow), "draw it anew: .venv/bin/python -m tools.chart"


def test_what_hands_on_to_what(flow: list[DagNode]) -> None:
    by_id = {dag.dag_id: dag for dag in flow}
    makers = {asset: {d.dag_id for d in flow if asset in d.hands_on} for d in flow for asset in d.hands_on}
    assert makers["plumewatch_peaks"] == {"oco2_monthly_extraction", "redetect", "waiting_detections"}
    assert by_id["methane_detection_and_matching"].waits_for == ("plumewatch_pixels",)
    assert by_id["methane_detection_and_matching"].reads == ("pixels", "wind", "sources", "reviews", "reported_plumes")
    assert by_id["sentinel2_late_scenes"].starts == ("sentinel2_daily_ingest",)
    assert by_id["oco2_monthly_extraction"].services == ("Wind", "OCO-2, OCO-3 granules")
    assert {service for dag in flow for service in dag.services} == {service.title for service in SERVICES}


def test_every_dag_and_what_is_handed_on_is_a_box(flow: list[DagNode]) -> None:
    texts = [node.text or "" for node in ElementTree.fromstring(draw(flow)).iter("{http://www.w3.org/2000/svg}text")]
    told = "\n".join(texts).replace("_\nand_", "_and_")
    assert [dag.dag_id for dag in flow if dag.dag_id not in told] == []
    assert {"pixels", "wind", "peaks", "soundings", "sources"} <= set(texts)


def test_another_asset_changes_the_chart(flow: list[DagNode]) -> None:
    for dag in flow:
        changed = [replace(d, hands_on=("plumewatch_new",)) if d is dag else d for d in flow]
        assert "new" in draw(changed) and draw(changed) != draw(flow)
    assert draw(flow) == draw(list(flow))
