"""S3 whose refusals say which bucket was asked, what was tried, and what to do."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

from plumewatch.constants import LOWEST_BYTES_S
from plumewatch.errors import InputError, redact

TRIED = {
    "list_objects_v2": "listing", "head_bucket": "looking at", "head_object": "looking at", "get_object": "reading",
    "put_object": "writing", "create_multipart_upload": "writing", "upload_part": "writing",
    "delete_object": "removing", "delete_objects": "removing",
}  # fmt: skip
NO_BUCKET = "NoSuchBucket"
OTHER_PLACE = (
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "Redirect",
    "TemporaryRedirect",
    "301",
    "307",
    "400",
)
MAKE_IT = "a bucket that is there: make it, or correct the address, AWS_ENDPOINT_URL or AWS_REGION"
KEYS = (
    "keys that may list, read and write there: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the "
    "connection aws_default"
)
SILENCE_S = 60.0  # botocore's: so long it waits for the next bytes of an answer


class _InTime:
    """The content of an answer, which takes so long as a silence may, and a second more for LOWEST_BYTES_S bytes."""

    def __init__(self, body: Any, n_bytes: int) -> None:
        self._body, self._most_s = body, SILENCE_S + n_bytes / LOWEST_BYTES_S
        self._ends_at = asyncio.get_running_loop().time() + self._most_s

    async def read(self, n_bytes: int | None = None) -> bytes:
        try:
            async with asyncio.timeout_at(self._ends_at):
                return bytes(await self._body.read(n_bytes))
        except TimeoutError as error:
            if asyncio.get_running_loop().time() < self._ends_at:
                raise  # one that was silent, which s3fs asks again
            told = f"not whole after {self._most_s:.0f} s: slower than {LOWEST_BYTES_S:.0f} bytes/s"
            raise ConnectionError(told) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


def aws_settings() -> int:
    """Return a number that is another one where the environment's AWS_ settings are."""
    return hash(frozenset(setting for setting in os.environ.items() if setting[0].startswith("AWS_")))


class Buckets(S3FileSystem):
    """S3 as s3fs has it, with messages of ours; the kinds of errors stay, but a bucket that isn't there is bad input.

    So no bucket is never taken for an empty one, or for a file that is missing in it.
    """

    def __init__(self, *options: Any, keys_told: str = KEYS, stated: int = 0, **named: Any) -> None:
        """`keys_told` says which keys it is that may be refused.

        fsspec keeps one instance for equal arguments: `stated` (aws_settings) makes another for other settings.
        """
        super().__init__(*options, **named)
        self.keys_told = keys_told

    async def _call_s3(self, method: str, *options: Any, **named: Any) -> Any:
        try:
            answer = await super()._call_s3(method, *options, **named)
            if method == "get_object":
                answer["Body"] = _InTime(answer["Body"], int(answer.get("ContentLength") or 0))
            return answer
        except OSError as error:
            place = "/".join(filter(None, (str(named.get("Bucket", "")), named.get("Key") or named.get("Prefix"))))
            raise described(error, place.rstrip("/"), TRIED.get(method, method), self.keys_told) from error.__cause__

    call_s3 = sync_wrapper(_call_s3)

    async def _lsdir(self, path: str, *options: Any, **named: Any) -> Any:
        try:
            return await super()._lsdir(path, *options, **named)
        except OSError as error:
            raise described(error, path, "listing", self.keys_told) from error.__cause__


def described(error: OSError, place: str, tried: str, keys: str = KEYS) -> OSError | InputError:
    """Return what is to be raised for an error of S3 at `place` (bucket/key), where something was `tried`.

    `keys` says which keys may do that.
    """
    answer = getattr(error.__cause__, "response", None) or {}
    code = str(answer.get("Error", {}).get("Code", ""))
    path, bucket = f"s3://{place}", place.partition("/")[0]
    if code == NO_BUCKET:
        return InputError(path, f"no bucket {bucket!r} ({tried} it: {code})", MAKE_IT)
    if not code or isinstance(error, FileExistsError | FileNotFoundError):
        return error
    said = redact(f"{code}: {answer['Error'].get('Message', '')}".strip(": "))
    if isinstance(error, PermissionError):
        return PermissionError(f"{path}: no access to bucket {bucket!r} ({tried} it: {said}); allowed: {keys}")
    hint = f"; allowed: {MAKE_IT}" if code in OTHER_PLACE else ""
    told = f"{path}: bucket {bucket!r} refused ({tried} it: {said}){hint}"
    return type(error)(error.errno, told) if error.errno else type(error)(told)
