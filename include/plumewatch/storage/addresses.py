"""Addresses of storage, as a user writes them: what each means, or why it means nothing."""

from __future__ import annotations

import re
from urllib.parse import unquote

from plumewatch.errors import ConfigurationError, redact

ALLOWED = "a folder, file:///folder or s3://bucket/prefix"
S3_SCHEMES = ("s3", "s3a")
FILE = "file"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_QUOTES = ('"', "'")
_KEYS = re.compile(r"(?<=//).*@")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|arn:[A-Za-z0-9:_-]+")  # an ARN is an access point's


def stated_path(text: str) -> str:
    """Return the path that an address means: a plain path, `file:///...` or `s3://bucket/prefix`, no slash at its end.

    What a user wrote goes through here, once; a path that came out of it stays as it is. The scheme may be in capitals,
    and `s3a` is `s3`. A `file:` address whose characters are written as numbers becomes the path that it means; a plain
    path says what it says, `%20` too. ConfigurationError says what is wrong with an address that names no place.

    >>> stated_path("S3A://bucket/x/"), stated_path("file:///data/my%20files"), stated_path("/data/my%20files ")
    ('s3://bucket/x', '/data/my files', '/data/my%20files')
    """
    stripped = text.strip()
    if stripped.startswith(_QUOTES):
        raise _refused(text, "a quote before it")
    scheme, rest = split_scheme(stripped)
    if scheme is None:
        return _without_end(stripped)
    if scheme == FILE:
        return _of_file(text, rest)
    return _of_bucket(text, rest)


def split_scheme(path: str) -> tuple[str | None, str]:
    """Return the scheme of a path in small letters, None where it has none, and what follows its colon.

    ConfigurationError where the scheme isn't served, or isn't followed by what it takes: never a folder called `s3:`.
    """
    match = _SCHEME.fullmatch(path)
    if match is None:
        return None, path
    scheme, rest = match[1].lower(), match[2]
    if scheme in S3_SCHEMES:
        if not rest.startswith("//"):
            raise _refused(path, f"{match[1]}: without //")
        return scheme, rest
    if scheme == FILE:
        if not rest.startswith("/"):
            raise _refused(path, f"{match[1]}: without a folder that begins with /")
        return scheme, rest
    raise _refused(path, f"storage of kind {match[1]!r}", f"{ALLOWED}; ./ before a folder whose name has a colon")


def _of_file(text: str, rest: str) -> str:
    """The path of a file: address without its scheme (RFC 8089), of this machine alone."""
    host, path = "", rest
    if rest.startswith("//"):
        host, slash, below = rest[2:].partition("/")
        path = slash + below
    if host.lower() not in ("", "localhost"):
        raise _refused(text, f"a machine {host!r}", f"{ALLOWED}; three slashes after file:")
    path = _without_end("/" + path.lstrip("/"))
    if path == "/" or "%" not in path:
        return path if path == "/" else f"{FILE}://{path}"
    try:
        plain = unquote(path, errors="strict").strip()
    except UnicodeDecodeError as error:
        raise _refused(text, f"characters that aren't UTF-8 ({error.reason})") from error
    if not plain.isprintable():
        raise _refused(text, "a control character")
    return _without_end(plain)


def _of_bucket(text: str, rest: str) -> str:
    bucket, _, prefix = _without_end(rest.removeprefix("//")).partition("/")
    if not bucket:
        raise _refused(text, "no bucket after s3://")
    if _KEYS.search(text):
        raise _refused(text, "keys in it", f"{ALLOWED}; keys are the settings AWS_ACCESS_KEY_ID and its secret")
    if not _BUCKET.fullmatch(bucket):
        raise _refused(text, f"a bucket {bucket!r}", f"{ALLOWED}; letters, digits, dots and hyphens in a bucket's name")
    if prefix and not all(part.strip(".") for part in prefix.split("/")):
        raise _refused(text, "an empty name, or one of dots, between slashes")
    return f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"


def _without_end(path: str) -> str:
    return path.rstrip("/") or path[:1]


def _refused(text: str, found: str, allowed: str = ALLOWED) -> ConfigurationError:
    return ConfigurationError(redact(f"{_KEYS.sub('***@', text)}: {found}; allowed: {allowed}"))
