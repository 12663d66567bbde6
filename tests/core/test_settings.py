"""Settings come from the environment and `.env`, and keep their secrets."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from plumewatch import settings, storage
from plumewatch.catalogues.stac import StacApi
from plumewatch.errors import ConfigurationError
from plumewatch.settings import Settings, read_dotenv


def test_a_token_is_read_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    assert Settings.load().earthdata_token is None
    (tmp_path / ".env").write_text("EARTHDATA_TOKEN=from-the-file\n")
    assert Settings.load().earthdata_token == "from-the-file"
    monkeypatch.setenv("EARTHDATA_TOKEN", " secret-token \n")
    loaded = Settings.load()
    assert loaded.earthdata_token == "secret-token" and "secret-token" not in repr(loaded)


def test_names_in_the_environment() -> None:
    assert settings.environment_name("storage_root") == "PLUMEWATCH_STORAGE_ROOT"
    assert settings.environment_name("earthdata_token") == "EARTHDATA_TOKEN"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"A=/data/storage   # the NAS\n", "/data/storage"),
        (b"\xef\xbb\xbfA=geos_fp,era5\r\n", "geos_fp,era5"),
        (b"\xef\xbb\xbf# Settings\r\nA=cmr # NASA\r\n", "cmr"),
        (b"export A='/my data' # mine", "/my data"),
        (b'export\tA="a # b"\t# c', "a # b"),
        (b"A=https://x/y#part", "https://x/y#part"),
        (b"A=a#b #c", "a#b"),
        (b"A = x y \n", "x y"),
        (b"A=\t# nothing", ""),
        (b"A=", ""),
        (b'A="it\'s"', "it's"),
        (b"A=it's", "it's"),
        (b"A='$HOME/${x}'", "$HOME/${x}"),
        (b"A='$(x)`'", "$(x)`"),
        ("A=it\u2019s".encode(), "it\u2019s"),
        (b"A=pa$$word=1", "pa$$word=1"),
        (b"B=1\rA=2\r", "2"),
        ("A=/d\u00e4ta\u0085x".encode(), "/d\u00e4ta\u0085x"),
    ],
)
def test_a_line_of_dotenv_means_what_a_shell_makes_of_it(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    assert read_dotenv(tmp_path / ".env")["A"] == value


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"A", "no ="),
        (b"A: secret", "no ="),
        (b"set A=secret", "a name 'set A'"),
        (b"A-B=secret", "a name 'A-B'"),
        (b"=secret", "a name ''"),
        (b'A="secret', "A: quotes"),
        (b"A='secret' x", "A: quotes"),
        (b'A="secret"#x', "A: quotes"),
        (b"A=${HOME}/secret", "A: a variable"),
        (b'A="$HOME/secret"', "A: a variable"),
        (b"A=$(secret)", "A: a variable or command"),
        (b"A=`secret`", "A: a variable or command"),
        ("A=\u201csecret\u201d".encode(), "A: a character"),
        ("A=\u2018secret\u2019".encode(), "A: a character"),
        ("A=\u00absecret\u00bb".encode(), "A: a character"),
        (b"A=secret\0", "A: a character"),
        (b"A=\x1b[1msecret", "A: a character"),
        (b"A=\xe4secret", "not UTF-8"),
    ],
)
def test_a_line_of_dotenv_that_is_not_understood_is_named_and_not_shown(
    tmp_path: Path, line: bytes, found: str
) -> None:
    (tmp_path / ".env").write_bytes(b"# one\r\n\r\n" + line + b"\r\n")
    with pytest.raises(ConfigurationError, match=rf"\.env:3: {found}.*allowed") as refused:
        read_dotenv(tmp_path / ".env")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("file:///my%20data", "/my data"),
        ("file:///a%23b/%C3%A4", "/a#b/\u00e4"),
        ("file://localhost/a%20b", "/a b"),
        ("file:///100%25", "/100%"),
        ("file:///plain", "file:///plain"),
        ("/as%20it is", "/as%20it is"),
        ("s3://bucket/a%20b", "s3://bucket/a%20b"),
    ],
)
def test_an_address_of_a_file_is_decoded_once(root: str, path: str) -> None:
    loaded = replace(Settings(root, wind=root))
    assert (loaded.storage_root, loaded.wind) == (path, path)
    assert storage.filesystem(loaded.table_root("wind"))[1].endswith(path.split("://")[-1] + "/wind")


def test_sensors_are_oco2_alone_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMEWATCH_OCO_SENSORS", raising=False)
    assert Settings.load().oco_sensors == ("oco2",)
    monkeypatch.setenv("PLUMEWATCH_OCO_SENSORS", "oco2, oco3")
    assert Settings.load().oco_sensors == ("oco2", "oco3")
    monkeypatch.setenv("PLUMEWATCH_OCO_SENSORS", "oco2,gosat")
    with pytest.raises(ConfigurationError, match="PLUMEWATCH_OCO_SENSORS: oco2, gosat; allowed: oco2, oco3"):
        Settings.load()


@pytest.mark.parametrize(
    "address", ["https://host/{z}/{x}.png", "//h/{z}/{x}/{y}", "https://a b/{z}/{x}/{y}", "https://h';/{z}/{x}/{y}"]
)
def test_an_address_of_tiles_that_is_none_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ConfigurationError, match="PLUMEWATCH_MAP_TILES: allowed: an address such as") as refused:
        Settings(storage_root="storage", map_tiles=address)
    assert address not in str(refused.value)
    assert Settings(storage_root="storage", map_tiles="https://host:8080/{z}/{x}/{y}.png?key=1").map_tiles


def test_all_addresses_of_services_are_known_as_such() -> None:
    stated = {field.name for field in fields(Settings) if str(field.default).startswith("http")}
    assert stated <= set(settings.ADDRESSES) and set(settings.ADDRESSES) - stated == {"sh_token_url"}


@pytest.mark.parametrize("field", settings.ADDRESSES)
@pytest.mark.parametrize(
    "address", ["'https://host/v1'", "host/v1", "/tmp/catalog.json", "https://a host", "ftp://host"]
)
def test_an_address_that_is_none_is_refused_by_its_setting_and_never_opened_as_a_file(
    monkeypatch: pytest.MonkeyPatch, field: str, address: str
) -> None:
    monkeypatch.setenv(settings.environment_name(field), address)
    refused = rf"{settings.environment_name(field)}: .*(no http:// or https://|a blank).*; allowed: an address such as"
    with pytest.raises(ConfigurationError, match=refused):
        Settings.load()
    with pytest.raises(ConfigurationError, match=r"STAC API .*; allowed: an address such as"):
        StacApi(address)
