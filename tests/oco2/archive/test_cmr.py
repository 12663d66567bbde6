"""The search in CMR: every granule of the month, the newest of each day, or an error."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from earthdata_archive import Archive, serve_archive
from plumewatch import http
from plumewatch.errors import ServiceError
from plumewatch.oco2.archive.cmr import count_granules, search_granules
from plumewatch.oco2.archive.listing import StatedContent

V10, V11_2, V11_3 = ("B10206Ar_200730235637s", "B11210Ar_240910224028s", "B11300Ar_260824193629s")


def name(day: str, build: str = V11_2) -> str:
    return f"oco2_LtCO2_{day}_{build}.nc4"


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    with serve_archive() as served:
        yield served


def test_a_month_is_found_with_address_and_size(archive: Archive) -> None:
    for day in ("160731", "160801", "160831", "160901"):
        archive.add(name(day), b"x" * 1000)
    listing = search_granules(archive.url, "2016-08")
    assert [g.name for g in listing.granules] == [name("160801"), name("160831")]
    first = listing.granules[0]
    assert first.path == f"{archive.url}/data/{name('160801')}" and first.month == "2016-08"
    assert first.stated is not None and (first.stated.least_bytes, first.stated.most_bytes) == (1000, 1000)
    assert first.stated.checksum_algorithm == "sha256" and len(str(first.stated.checksum)) == 64
    assert all("authorization" not in headers for _, headers in archive.asked)


def test_the_newest_version_of_a_day_counts_over_all_collections(archive: Archive) -> None:
    archive.add(name("160801", V10), b"x", "10r")
    archive.add(name("160802", V10), b"x", "10r")
    archive.add(name("160802"), b"x", "11.2r")
    archive.add(name("160803"), b"x", "11.2r")
    archive.add(name("160803", V11_3), b"x", "11.3r")
    listing = search_granules(archive.url, "2016-08")
    assert [g.name for g in listing.granules] == [name("160801", V10), name("160802"), name("160803", V11_3)]
    assert {g.name for g in listing.superseded} == {name("160802", V10), name("160803")}


def test_only_collections_of_wanted_sensors_are_asked_for(archive: Archive) -> None:
    def asked() -> set[str]:
        search_granules(archive.url, "2019-10", *wanted)
        return {part for path, _ in archive.asked for part in path.split("=") if part.startswith("C2910086168")}

    wanted: tuple[tuple[str, ...], ...] = ()
    assert asked() == set()
    wanted = (("oco2", "oco3"),)
    assert asked() == {"C2910086168-GES_DISC&temporal"}


def test_a_granule_of_the_day_before_that_reaches_into_the_month_is_left_to_its_own(archive: Archive) -> None:
    archive.add(name("160731"), b"x")
    archive.add(name("160801"), b"x")
    items = [archive.item(name("160731")), archive.item(name("160801")), archive.item(name("160801"))]
    archive.cmr_answers = [(200, {"CMR-Hits": "3"}, json.dumps({"hits": 3, "items": items}).encode())]
    listing = search_granules(archive.url, "2016-08")
    assert [g.name for g in listing.granules] == [name("160801")] and listing.superseded == ()


def test_all_pages_are_read(archive: Archive) -> None:
    archive.max_page = 4
    for day in range(1, 32):
        archive.add(name(f"1608{day:02d}"), b"x")
    assert len(search_granules(archive.url, "2016-08").granules) == 31
    assert sum("cmr-search-after" in headers for _, headers in archive.asked) == 8  # of 31 in fours, to the empty page


def test_a_listing_that_is_not_whole_is_an_error(archive: Archive) -> None:
    archive.hidden = 1
    for day in ("160801", "160802"):
        archive.add(name(day), b"x")
    with pytest.raises(ServiceError, match="1 granules of the 2 that CMR-Hits counts") as caught:
        search_granules(archive.url, "2016-08")
    assert caught.value.is_retryable


def test_a_month_without_granules_is_empty(archive: Archive) -> None:
    assert search_granules(archive.url, "2013-01").granules == ()


def test_a_size_in_another_unit_is_a_range_and_a_missing_one_unknown(archive: Archive) -> None:
    archive.add(name("160801"), b"x", size={"Name": "Not provided", "Size": 57.25, "SizeUnit": "MB"})
    archive.add(name("160802"), b"x", size={"Name": "Not provided", "Size": 1.5, "SizeUnit": "NA"})
    crc = {"Value": "ab12", "Algorithm": "CRC-64"}
    archive.add(name("160803"), b"x", size={"SizeInBytes": 7, "Checksum": crc})
    stated = [granule.stated for granule in search_granules(archive.url, "2016-08").granules]
    decimal, binary = 57.25e6, 57.25 * 2**20
    assert stated[0] == StatedContent(int(decimal * 0.995), int(binary * 1.005))
    assert stated[1:] == [None, StatedContent(7, 7)]


def test_an_item_without_a_download_is_refused_by_name_and_the_others_count(archive: Archive) -> None:
    archive.add(name("160801"), b"x")
    good = archive.item(name("160801"))
    odd = json.loads(json.dumps(good))
    odd["umm"]["RelatedUrls"] = [{"URL": "s3://bucket/file.nc4", "Type": "GET DATA"}]
    odd["umm"]["GranuleUR"] = "OCO2_L2_Lite_FP.11.3r:odd"
    broken = {"meta": {"concept-id": "G3-GES_DISC"}}
    body = json.dumps({"hits": 3, "items": [good, odd, broken]}).encode()
    archive.cmr_answers = [(200, {"CMR-Hits": "3"}, body)]
    listing = search_granules(archive.url, "2016-08")
    assert [g.name for g in listing.granules] == [name("160801")]
    assert [r.name for r in listing.refused] == ["OCO2_L2_Lite_FP.11.3r:odd", "G3-GES_DISC"]
    assert "no download of a Lite file among its links (s3://bucket/file.nc4)" in str(listing.refused[0].error)


def test_a_service_that_recovers_is_asked_again(archive: Archive) -> None:
    archive.add(name("160801"), b"x")
    archive.cmr_answers = [(503, {}, b"busy"), (429, {"Retry-After": "0"}, b"slow down")]
    assert len(search_granules(archive.url, "2016-08").granules) == 1


@pytest.mark.parametrize(
    ("answers", "status", "message", "is_retryable"),
    [
        ([(503, {}, b"busy")] * 20, 503, "HTTP 503: busy", True),
        ([(400, {}, b'{"errors": ["Collection is not valid"]}')], 400, "Collection is not valid", False),
        ([(200, {}, b"<html>maintenance</html>")], None, "isn't JSON", True),
        ([(200, {"CMR-Hits": "1"}, b'{"feed": {}}')], None, "no answer of CMR", True),
        ([(200, {}, b'{"items": []}')], None, "the header CMR-Hits", True),
    ],
)
def test_what_is_no_answer_is_an_error_with_its_status(
    archive: Archive, answers: list, status: int | None, message: str, is_retryable: bool
) -> None:
    archive.cmr_answers = answers
    with pytest.raises(ServiceError, match=message) as caught:
        search_granules(archive.url, "2016-08")
    assert (caught.value.http_status, caught.value.is_retryable) == (status, is_retryable)


def test_nobody_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RETRIES", 0)
    with pytest.raises(ServiceError, match="no answer") as caught:
        search_granules("http://127.0.0.1:9", "2016-08")
    assert caught.value.is_retryable


def test_granules_are_counted_without_repetition(archive: Archive) -> None:
    archive.add(name("160801", V11_3), b"x", "11.3r")
    assert count_granules(archive.url) == 1
    archive.cmr_answers = [(503, {}, b"busy")]
    with pytest.raises(ServiceError):
        count_granules(archive.url)


ODD_ITEMS = {
    "links are an object": {"umm": {"RelatedUrls": {"URL": "x"}}},
    "links are text": {"umm": {"RelatedUrls": ["https://x/y.nc4", None, 7]}},
    "no links": {"umm": {"RelatedUrls": None}},
    "a broken host": {"umm": {"RelatedUrls": [{"Type": "GET DATA", "URL": f"https://[::1/{name('160802')}"}]}},
    "not an object": "text",
}


@pytest.mark.parametrize("odd", ODD_ITEMS.values(), ids=ODD_ITEMS)
def test_an_item_of_another_form_is_refused_and_the_others_count(archive: Archive, odd: object) -> None:
    archive.add(name("160801"), b"x")
    body = json.dumps({"items": [odd, archive.item(name("160801"))]}).encode()
    archive.cmr_answers = [(200, {"CMR-Hits": "2"}, body)]
    listing = search_granules(archive.url, "2016-08")
    assert [g.name for g in listing.granules] == [name("160801")] and len(listing.refused) == 1


ODD_FILES = [
    [{"SizeInBytes": 7, "Checksum": "abc"}],
    [{"SizeInBytes": 7, "Checksum": ["MD5", "abc"]}],
    [{"SizeInBytes": 7, "Checksum": {"Algorithm": "SHAKE_128", "Value": "ab"}}],
    [{"SizeInBytes": 7, "Checksum": {"Algorithm": "MD5", "Value": 3}}],
    [{"Size": float("nan"), "SizeUnit": "MB"}],
    [{"Size": float("inf"), "SizeUnit": "MB"}],
    [{"Size": 1.0, "SizeUnit": ["MB"]}],
    ["text"],
    {"SizeInBytes": 7},
    "text",
    None,
]


@pytest.mark.parametrize("files", ODD_FILES, ids=str)
def test_a_size_or_checksum_of_another_form_is_not_stated(archive: Archive, files: object) -> None:
    archive.add(name("160801"), b"x")
    item = archive.item(name("160801"))
    item["umm"]["DataGranule"]["ArchiveAndDistributionInformation"] = files
    archive.cmr_answers = [(200, {"CMR-Hits": "1"}, json.dumps({"items": [item]}).encode())]
    [granule] = search_granules(archive.url, "2016-08").granules
    assert granule.stated in (None, StatedContent(7, 7))


def test_pages_without_end_are_an_error(archive: Archive) -> None:
    archive.add(name("160801"), b"x")
    body = json.dumps({"items": [archive.item(name("160801"))]}).encode()
    for cursors in ([1, 1, 1, 1], [1, 2, 3, 4]):
        headers = [{"CMR-Hits": "1", "CMR-Search-After": f"[{cursor}]"} for cursor in cursors]
        archive.cmr_answers = [(200, header, body) for header in headers]
        with pytest.raises(ServiceError, match="2 granules of the 1"):
            search_granules(archive.url, "2016-08")


def test_hits_that_are_no_number_are_no_answer(archive: Archive) -> None:
    archive.cmr_answers = [(200, {"CMR-Hits": "\u00b2"}, b'{"items": []}')]
    with pytest.raises(ServiceError, match="the header CMR-Hits"):
        search_granules(archive.url, "2016-08")


def test_a_refused_item_belongs_to_the_month_that_its_name_tells(archive: Archive) -> None:
    archive.add(name("160801"), b"x")
    item = archive.item(name("160801"))
    item["umm"]["RelatedUrls"] = []
    archive.cmr_answers = [(200, {"CMR-Hits": "1"}, json.dumps({"items": [item]}).encode())]
    assert [r.month for r in search_granules(archive.url, "2016-08").refused] == ["2016-08"]
