"""Answers that don't end, and addresses that hold an account."""

from __future__ import annotations

from itertools import count, cycle, islice

import pytest
from plumewatch.catalogues.catalogue import MOST_REPEATED, without_endless_pages
from plumewatch.catalogues.stac import StacApi, StacCatalogue
from plumewatch.errors import ServiceError
from plumewatch.settings import Settings


@pytest.mark.parametrize("n_items", [1, 99, 100])
def test_a_service_that_gives_its_last_page_again_and_again_is_left(n_items: int) -> None:
    page = [{"id": str(n)} for n in range(n_items)]
    found: list[dict] = []
    with pytest.raises(ServiceError, match="pages without an end") as caught:
        found.extend(without_endless_pages(cycle(page), "https://h/?key=PW"))
    assert caught.value.is_retryable and "PW" not in str(caught.value)


def test_pages_that_repeat_some_items_and_go_on_are_read() -> None:
    items = ({"id": str(n // 2)} for n in count())
    assert len(list(islice(without_endless_pages(items, "h"), 10 * MOST_REPEATED))) == 10 * MOST_REPEATED


@pytest.mark.parametrize("api", ["https://me:PW@h/v1", "https://h/v1/?api_key=PW", "https://PW@h/v1"])
def test_where_an_item_is_holds_no_account(api: str) -> None:
    href = StacCatalogue(StacApi(api), "c").item_href({"id": "a"})
    assert href == "https://h/v1/collections/c/items/a"


def test_a_folder_of_areas_that_two_settings_name_is_read_once() -> None:
    settings = Settings(storage_root="file:///data/store", areas="/data/store/areas")
    assert settings.area_folders == ("/data/store/areas",)
    assert len(Settings(storage_root="file:///data/store", areas="/data/areas").area_folders) == 2
