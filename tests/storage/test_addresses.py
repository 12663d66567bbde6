"""What a user writes for a place means that place, or is refused with what was found and what is allowed."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from plumewatch import jobs, storage
from plumewatch.errors import ConfigurationError
from plumewatch.settings import Settings
from plumewatch.storage import stated_path

MEANT = {
    "s3://bucket": "s3://bucket",
    "S3://bucket/Prefix": "s3://bucket/Prefix",
    "s3a://bucket/x": "s3://bucket/x",
    "S3A://bucket/x//": "s3://bucket/x",
    "s3://bucket/": "s3://bucket",
    " s3://bucket/a b \t": "s3://bucket/a b",
    "s3://bucket/a%20b": "s3://bucket/a%20b",
    "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/mine": "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/mine",
    "file:/tmp": "file:///tmp",
    "FILE:///tmp/": "file:///tmp",
    "file:////tmp": "file:///tmp",
    "file://localhost/tmp": "file:///tmp",
    "file://LOCALHOST/my%20data/": "/my data",
    "file:///": "/",
    "/data/": "/data",
    "/data ": "/data",
    "/": "/",
    "/as%20it is": "/as%20it is",
    "data/a:b": "data/a:b",
    "./s3:": "./s3:",
    "geos_fp,era5": "geos_fp,era5",
    "cmr": "cmr",
}

REFUSED = {
    "s3:/bucket": "s3: without //",
    "s3:bucket": "s3: without //",
    "S3:\\\\bucket": "S3: without //",
    "s3://": "no bucket",
    "s3:///bucket": "no bucket",
    "s3:// bucket": "a bucket ' bucket'",
    "s3://bucket?region=x/y": "a bucket 'bucket\\?region=x'",
    "s3://bucket//x": "an empty name",
    "s3://bucket/../other": "an empty name, or one of dots",
    "gs://bucket/x": "storage of kind 'gs'",
    "https://bucket.s3.amazonaws.com/x": "storage of kind 'https'",
    "C:\\data": "storage of kind 'C'",
    "a:b": "storage of kind 'a'",
    "file:tmp": "file: without a folder",
    "file:": "file: without a folder",
    "file://host/path": "a machine 'host'",
    "file://tmp": "a machine 'tmp'",
    "file://~/data": "a machine '~'",
    "file:///a%00b": "a control character",
    "file:///%ff": "aren't UTF-8",
    '"s3://bucket"': "a quote before it",
    "'/data'": "a quote before it",
}


@pytest.mark.parametrize("text", MEANT)
def test_what_is_plainly_meant_is_that_place(text: str) -> None:
    assert stated_path(text) == MEANT[text] == stated_path(stated_path(text))
    assert Settings(text).storage_root == MEANT[text]


@pytest.mark.parametrize("text", REFUSED)
def test_what_names_no_place_is_refused_by_its_setting(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigurationError, match=f"PLUMEWATCH_STORAGE_ROOT: .*{REFUSED[text]}.*; allowed: a folder, file:"
    ):
        Settings(text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["s3:/bucket/x", "gs://bucket", "file:tmp", "S3:x", "https://x/y"])
def test_no_path_becomes_a_folder_called_after_a_scheme(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="allowed: "):
        storage.write_bytes(storage.join(text, "x"), b"")
    with pytest.raises(ConfigurationError, match="allowed: "):
        jobs._make_paths_absolute(argparse.Namespace(pixels_path=text))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["s3://AKIA:abc@bucket/x", "s3://AKIA:ab/c@bucket/x"])
def test_keys_in_an_address_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\*\*\*@bucket/x: keys in it") as refused:
        stated_path(text)
    assert "AKIA:" not in str(refused.value)
