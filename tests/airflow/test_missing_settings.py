"""Settings that are missing: a named line each time, one alert, an observation where there is a place, a green run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.failures import FailureBook
from plumewatch.models import FailedScene
from plumewatch.tables import OBSERVATIONS
from plumewatch.told import TOLD

EXTRACTION = "oco2_monthly_extraction"
MONTH = "2025-08"
SETTINGS = ("EARTHDATA_TOKEN", "PLUMEWATCH_INVENTORIES", "PLUMEWATCH_WIND", "areas", "sources")


class Dag:
    dag_id = "some_dag"


@pytest.fixture
def root(storage_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh install: an empty storage, no areas, no settings."""
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", storage_root)
    monkeypatch.setenv("PLUMEWATCH_AREAS", str(tmp_path / "none"))
    return storage_root


@pytest.fixture
def tell(dagbag: Any, root: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """tell_missing in a task; its storage is empty."""
    from plumewatch_airflow import missing

    monkeypatch.setattr(missing, "get_current_context", lambda: {"dag": Dag, "run_id": "run1"})
    return missing.tell_missing


class Log:
    """What a run logs of missing settings."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        self._records = records
        self.counts: list[str] = []
        """The lines of counts when it was last taken."""

    def take(self) -> tuple[list[str], list[str]]:
        """Lines and alerts since the last time."""
        texts = [record.getMessage() for record in self._records]
        self._records.clear()
        self.counts = [t for t in texts if t.startswith("read ")]
        return [t for t in texts if t.startswith("MISSING")], [t for t in texts if t.startswith("ALERT")]


@pytest.fixture
def log() -> Iterator[Log]:
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.INFO)
    handler.emit = records.append  # type: ignore[method-assign]
    loggers = [logging.getLogger(f"plumewatch.{name}") for name in ("missing", "alert", "task")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    yield Log(records)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
        logger.removeHandler(handler)


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_is_told_once_until_it_is_given(tell: Callable[..., bool], log: Log, setting: str) -> None:
    for n_alerts in (1, 0, 0):
        assert tell(setting, MONTH, "none: set it")
        lines, alerts = log.take()
        assert lines == [f"MISSING {setting}: none: set it"] and len(alerts) == n_alerts
    assert not tell(setting, MONTH, None) and log.take() == ([], [])
    assert tell(setting, MONTH, "none: set it")
    [alert] = log.take()[1]
    assert f"some_dag for {MONTH} lacks {setting} (run run1; told once)" in alert and "none: set it" in alert


def test_one_setting_is_not_another(tell: Callable[..., bool], log: Log) -> None:
    for setting in SETTINGS:
        tell(setting, MONTH, "none")
        assert len(log.take()[1]) == 1


def test_an_alert_that_reached_nobody_is_told_again_and_turns_nothing_red(
    tell: Callable[..., bool], log: Log, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMEWATCH_ALERTS", "slack")  # without PLUMEWATCH_ALERT_TO
    for _ in range(2):
        assert tell("areas", MONTH, "none")
        assert len(log.take()[1]) == 1
    assert not storage.exists(f"{root}/{TOLD}/areas.json")


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_run_that_is_killed_while_it_tells_leaves_it_to_the_next(
    tell: Callable[..., bool], log: Log, root: str, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    from plumewatch_airflow import channels

    def killed(*_: object) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setitem(channels.CHANNELS, "log", killed)
        tell(setting, MONTH, "none")
    log.take()
    assert tell(setting, MONTH, "none") and len(log.take()[1]) == 1


@pytest.mark.airflow
def test_a_month_without_a_token_is_recorded_and_told_once(
    root: str, run_dag: Callable[..., Any], states_of: Callable[..., Any], log: Log
) -> None:
    FailureBook(root, EXTRACTION, "run1").settle(MONTH, [FailedScene("oco2.nc4", "extract", "InputError", "cut off")])
    for key, n_alerts in ((MONTH, 1), (MONTH, 0), ("2025-09", 0)):
        run = run_dag(EXTRACTION, key)
        assert run.state == "success" and states_of(run)["list_granules"] == ["skipped"]
        where = {"gas": "co2", "key": key}
        [row] = storage.read_table(OBSERVATIONS, f"{root}/observations", where=where).to_pylist()
        assert (row["orbit"], row["outcome"], row["stage"], row["detected"]) == (0, "no_input", "search", False)
        page = storage.read_bytes(f"{root}/maps/co2/{key}.html").decode()
        assert "Nothing was searched: not asked: no EARTHDATA_TOKEN." in page
        lines, alerts = log.take()
        assert len(lines) == 1 and "set EARTHDATA_TOKEN" in lines[0] and len(alerts) == n_alerts
        assert len([line for line in log.counts if ", skipped 1, failed 0, " in line]) == 1
    assert len(FailureBook(root, EXTRACTION, "any run").open_rows(MONTH)) == 1  # nobody has looked at it again


@pytest.mark.airflow
@pytest.mark.parametrize(
    ("dag_id", "conf", "task", "setting", "what_to_do"),
    [
        ("inventory_refresh", {}, "find_inventories", "PLUMEWATCH_INVENTORIES", "set it to a folder of inventory"),
        ("sentinel2_daily_ingest", {"areas": []}, "search_scenes", "areas", "put one into"),
    ],
)
def test_a_run_that_has_nothing_to_do_is_a_named_skip(
    root: str, run_dag: Callable[..., Any], states_of: Callable[..., Any], log: Log,
    dag_id: str, conf: dict[str, Any], task: str, setting: str, what_to_do: str,
) -> None:  # fmt: skip
    for n_alerts in (1, 0):
        run = run_dag(dag_id, **conf)
        states = states_of(run)
        assert run.state == "success" and states.pop("report_failures") == ["success"]
        assert states[task] == ["skipped"] and {s for of in states.values() for s in of} == {"skipped"}
        lines, alerts = log.take()
        assert len(lines) == 1 and f"MISSING {setting}: " in lines[0] and what_to_do in lines[0]
        assert len(alerts) == n_alerts
        assert len([line for line in log.counts if ", skipped 1, failed 0, " in line]) == 1


@pytest.mark.airflow
def test_detections_without_sources_are_told_of(
    root: str, run_dag: Callable[..., Any], states_of: Callable[..., Any], log: Log
) -> None:
    run = run_dag("co2_detection_and_matching", MONTH)
    assert run.state == "success" and states_of(run)["match_sources"] == ["skipped"]
    lines, alerts = log.take()
    assert len(alerts) == 1 and "run inventory_refresh, then redetect" in lines[0]


def test_without_a_wind_source_it_is_said_what_that_costs(
    tell: Callable[..., bool], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plumewatch_airflow.methane import tell_missing_wind

    for n_alerts in (1, 0):
        tell_missing_wind("2025-08-24")
        lines, alerts = log.take()
        assert "methane plumes have no rates" in lines[0] and "geos_fp,era5" in lines[0] and len(alerts) == n_alerts
    monkeypatch.setenv("PLUMEWATCH_WIND", "geos_fp")
    tell_missing_wind("2025-08-24")
    assert log.take() == ([], [])
