"""Who may do what in the view: nothing without a login, nothing that the role forbids, nothing but what is listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from map_rows import DAY, NASTY
from plumewatch import storage
from plumewatch.gases import CH4
from plumewatch.maps.columns import rows_of
from plumewatch.maps.map_page import ASSETS
from plumewatch.maps.report import report_path
from plumewatch.reviews import read_reviews

DETECTION = f"/data/ch4/{DAY}/detection"
REVIEW = "/data/ch4/review"
VERDICT = {"key": DAY, "id": "a1", "verdict": "reject", "comment": "a road"}
FILLED = {"{name}": "world.js", "{gas}": "ch4", "{key}": DAY}


def routes() -> list[tuple[str, str]]:
    """Method and path of all that the app answers, by its own table."""
    from fastapi.routing import APIRoute
    from plumewatch_airflow.emissions_view import view_app

    app = view_app()
    assert all(isinstance(route, APIRoute) for route in app.routes), "a mount would be open: serve files by a route"
    return [(method, route.path) for route in app.routes for method in route.methods]


def filled(path: str) -> str:
    for place, value in FILLED.items():
        path = path.replace(place, value)
    return path


def test_nobody_is_answered_without_a_login(client: Callable[..., Any], view_storage: str) -> None:
    nobody, found = client(), routes()
    assert (
        len(found) >= 15
        and ("GET", "/data/operations/failures") in found
        and ("POST", "/data/{gas}/review") in found
        and ("GET", "/assets/{name}") in found
    )
    for method, path in found:
        for body in (None, b"{", b"x" * 100_000):
            answer = nobody.request(method, filled(path), content=body)
            assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"}), (method, path)
    forged = client()
    forged.cookies.set("_token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.")
    assert forged.get("/data/start").status_code in (401, 403)
    for path in ("/docs", "/redoc", "/openapi.json", "/data", "/assets/", "/assets"):
        assert nobody.get(path).status_code in (401, 404)


def test_a_viewer_sees_and_reviews_nothing(client: Callable[..., Any], view_storage: str) -> None:
    viewer = client("viewer")
    assert viewer.get("/").status_code == 200
    told = viewer.get(DETECTION, params={"id": "a1"}).json()
    assert told["may_review"] is False and told["reviews"] == []
    answer = viewer.post(REVIEW, json=VERDICT)
    assert answer.status_code == 403 and read_reviews(view_storage, "ch4").num_rows == 0
    assert client("user").get(DETECTION, params={"id": "a1"}).json()["may_review"] is True


def test_a_verdict_is_kept_and_heeded(client: Callable[..., Any], view_storage: str) -> None:
    user = client("user")
    answer = user.post(REVIEW, json=VERDICT | {"comment": NASTY})
    assert answer.status_code == 200, answer.text
    [said] = answer.json()["reviews"]
    assert said.startswith("rejected by the user, 20") and said.endswith(NASTY)
    [row] = read_reviews(view_storage, "ch4").to_pylist()
    assert (row["detection_id"], row["verdict"], row["by"], row["longitude"]) == ("a1", "reject", "the user", 56.0)
    content = user.get("/data/ch4/content", params={"first": DAY, "last": DAY}).json()
    assert {d["id"]: d["state"] for d in rows_of(content["detections"])}["a1 rejected"] == "refused"
    assert storage.exists(storage.join(view_storage, "maps", CH4.name, f"{DAY}.html"))
    assert not storage.exists(report_path(view_storage, DAY[:7]))  # a whole month is nothing to wait for
    again = user.post(REVIEW, json=VERDICT | {"verdict": "confirm"}).json()["reviews"]  # by the id that the map had
    assert [one.split()[0] for one in again] == ["rejected", "confirmed"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "application/json", "origin": "https://evil.example"}, 403),
        ({"content-type": "application/json", "origin": "null"}, 403),
        ({"content-type": "application/json", "sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "application/json", "sec-fetch-site": "same-site"}, 403),
        ({"content-type": "application/json", "origin": "http://airflow.test", "sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_another_site_cant_give_verdicts_in_somebodys_name(
    client: Callable[..., Any], view_storage: str, headers: dict, status: int
) -> None:
    import json

    answer = client("admin").post(REVIEW, content=json.dumps(VERDICT), headers=headers)
    assert answer.status_code == status
    assert read_reviews(view_storage, "ch4").num_rows == (1 if status == 200 else 0)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"id": "a4"}, 404), ({"key": "2025-09-01"}, 404), ({"key": "../../secret"}, 404), ({"id": "../a1"}, 404),
        ({"verdict": "delete"}, 422), ({"verdict": ["reject"]}, 422), ({"comment": "x" * 2001}, 422),
        ({"comment": "x" * 10_000_000}, 413),
    ],
)  # fmt: skip
def test_a_verdict_of_another_form_is_refused(
    client: Callable[..., Any], view_storage: str, change: dict, status: int
) -> None:
    answer = client("admin").post(REVIEW, json=VERDICT | change)
    assert answer.status_code == status and len(answer.text) < 1000
    assert read_reviews(view_storage, "ch4").num_rows == 0
    for body in (b"[" * 15_000, b'{"key": "%s", "id": "\\ud800"}' % DAY.encode()):
        answer = client("admin").post(REVIEW, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422


def test_the_page_of_a_source_is_served_where_there_is_one(client: Callable[..., Any], view_storage: str) -> None:
    admin = client("admin")
    [link] = admin.get("/data/ch4/history", params={"source_id": "well"}).json()["links"]
    page = admin.get(f"/{link['href']}")
    assert page.status_code == 200 and "<title>well</title>" in page.text
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "script-src" not in policy and policy.endswith("frame-ancestors 'self'; sandbox")
    storage.delete(storage.join(view_storage, "evidence"))
    assert admin.get("/data/ch4/history", params={"source_id": "well"}).json()["links"] == []
    assert admin.get("/data/ch4/source", params={"source_id": "well"}).status_code == 404


TRAVERSALS = (
    "../secret.json", "..%2fsecret.json", "%2e%2e/secret.json", "....//secret.json", "/etc/passwd", "..\\secret.json",
    "file:///etc/passwd", "s3://other/secret", "a1\0", "a1%00.png", "a1/../a1", "*", "date=2025-08-31", ".", "",
)  # fmt: skip


@pytest.mark.parametrize("text", TRAVERSALS)
def test_no_text_of_a_request_leads_to_a_path(client: Callable[..., Any], view_storage: str, text: str) -> None:
    admin, written = client("admin"), text.replace("\0", "%00")
    for path, params in (
        (f"/data/ch4/{DAY}/detection", {"id": text}),
        (f"/data/ch4/{DAY}/picture", {"id": text}),
        (f"/data/ch4/{DAY}/scene", {"id": text}),
        (f"/data/ch4/{DAY}/layer", {"id": text, "name": "scene"}),
        (f"/data/ch4/{DAY}/layer", {"id": "a1", "name": text}),
        (f"/data/ch4/{written}/picture", {"id": "a1"}),
        (f"/data/{written}/{DAY}/picture", {"id": "a1"}),
        ("/data/ch4/content", {"first": text[:10], "last": DAY}),
        ("/data/ch4/cells", {"kind": text}),
        ("/data/co2/cells", {"kind": "xco2", "key": text[:10]}),
        ("/data/ch4/history", {"source_id": text}),
        ("/data/ch4/source", {"source_id": text}),
        (f"/assets/{written}", {}),
        ("/data/ch4/calendar", {"first": text[:10], "last": DAY}),
        (f"/data/{written}/calendar", {"first": DAY, "last": DAY}),
        ("/data/operations/failures", {"days": text}),
        ("/data/run", {"dag_id": "methane_detection_and_matching", "run_id": text}),
    ):
        answer = admin.get(path, params=params)
        assert answer.status_code in (200, 404, 422) and "secret" not in answer.text and "root:" not in answer.text
        assert answer.status_code != 200 or (path == "/data/run" and answer.json()["key"] is None), (path, text)


def test_what_is_too_long_or_of_another_form_is_refused_and_not_repeated(
    client: Callable[..., Any], view_storage: str
) -> None:
    admin = client("admin")
    for params in ({"id": "x" * 60_000}, {"id": "<script>" * 100}, {}):
        answer = admin.get(DETECTION, params=params)
        assert answer.status_code == 422 and len(answer.text) < 200 and "<script>" not in answer.text
    assert admin.get("/data/ch4/content", params={"first": DAY, "last": "2025-08-30"}).status_code == 404
    assert admin.get("/data/n2o/content", params={"first": DAY, "last": DAY}).status_code == 404


def test_every_answer_says_what_it_may_do(client: Callable[..., Any], view_storage: str) -> None:
    admin, params = (
        client("admin"),
        {
            "id": "a1",
            "first": DAY,
            "last": DAY,
            "source_id": "well",
            "dag_id": "x",
            "run_id": "x",
            "name": "enhancement",
            "kind": "edgar",
        },
    )
    for method, path in routes():
        if method == "GET" and not path.endswith("scene"):
            answer = admin.get(filled(path), params=params)
            assert answer.status_code == 200, path
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'") and "frame-ancestors 'self'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "private" in answer.headers["cache-control"]
    for path in ("/", "/operations"):
        page = admin.get(path)
        policy = page.headers["content-security-policy"]
        assert "script-src 'sha256-" in policy and "unsafe-eval" not in page.text[:2000]
        assert "'unsafe-inline'" not in policy.split("style-src")[0]
    for name in ASSETS:
        assert admin.get(f"/assets/{name}").headers["content-type"].startswith(ASSETS[name][1])


def test_a_bucket_out_of_reach_is_told(
    client: Callable[..., Any], view_storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = {
        "PLUMEWATCH_STORAGE_ROOT": "s3://far/x",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
    }
    for name, value in {**stated, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    assert client("admin").get("/").status_code == 200
    answer = client("admin").get("/data/start")
    assert answer.status_code == 503 and "Could not connect to the endpoint URL" in answer.json()["detail"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
