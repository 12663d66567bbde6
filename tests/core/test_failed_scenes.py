"""The table of failures: merged by area, scene and stage, healed, without secrets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plumewatch.errors import InputError, ServiceError, redact
from plumewatch.failed_scenes import heal_scenes, read_failed_scenes, record_failed_scenes
from plumewatch.models import FailedScene

ARGS = ("sentinel2_daily_ingest", "2025-08-24")


def failure(scene: str = "s1", stage: str = "fetch_scene", **changes: object) -> FailedScene:
    return FailedScene.from_exception(
        InputError("x.tif", "12 bytes", "a GeoTIFF"), scene_id=scene, stage=stage, area="a", **changes
    )  # type: ignore[arg-type]


def test_one_row_per_area_scene_and_stage(storage_root: str) -> None:
    record_failed_scenes(storage_root, *ARGS, "run1", [failure(), failure("s2")])
    first = read_failed_scenes(storage_root, *ARGS).to_pylist()[0]
    record_failed_scenes(storage_root, *ARGS, "run2", [failure(attempts=3)])
    rows = read_failed_scenes(storage_root, *ARGS).to_pylist()
    assert [(r["scene_id"], r["run_id"], r["attempts"]) for r in rows] == [("s1", "run2", 3), ("s2", "run1", 1)]
    assert rows[0]["first_failed_at_utc"] == first["first_failed_at_utc"] < rows[0]["last_failed_at_utc"]
    assert rows[0]["is_retryable"] is False and rows[0]["asset"] == "x.tif"


def test_healed_and_failed_again(storage_root: str) -> None:
    record_failed_scenes(storage_root, *ARGS, "run1", [failure()])
    heal_scenes(storage_root, *ARGS, [("a", "s1"), ("a", "never failed")], "fetch_scene")
    [row] = read_failed_scenes(storage_root, *ARGS).to_pylist()
    assert row["healed_at_utc"] is not None
    record_failed_scenes(storage_root, *ARGS, "run2", [failure()])
    [row] = read_failed_scenes(storage_root, *ARGS).to_pylist()
    assert row["healed_at_utc"] is None


def test_healing_one_stage_leaves_the_other(storage_root: str) -> None:
    record_failed_scenes(storage_root, *ARGS, "run1", [failure(), failure(stage="pixels")])
    heal_scenes(storage_root, *ARGS, [("a", "s1")], "pixels")
    assert [r["healed_at_utc"] is None for r in read_failed_scenes(storage_root, *ARGS).to_pylist()] == [True, False]


def test_retryable_is_what_the_service_says() -> None:
    kinds = {None: True, 404: False, 403: False, 429: True, 500: True, 503: True}
    assert {status: ServiceError("x", status).is_retryable for status in kinds} == kinds


SECRET = st.text(alphabet="abcXYZ0189", min_size=12, max_size=40)


@given(SECRET)
def test_no_secret_gets_into_a_row(secret: str) -> None:
    texts = [
        f"GET https://h/x.tif?se=1&sig={secret}",
        f"Authorization: Bearer {secret}",
        f"client_secret={secret}",
        f"https://user:{secret}@h/x",
        f"?X-Amz-Signature={secret}&x=1",
        f"sc://spark:15002/;token={secret}",
        f"{{'client_secret': '{secret}'}}",
        f'"token": "{secret}"',
    ]
    assert all(secret not in redact(text) for text in texts)
