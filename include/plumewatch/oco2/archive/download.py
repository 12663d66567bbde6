"""Download one file of NASA's archives with an Earthdata token: resumable, checked, whole or not at all.

A client of our own on requests, because earthaccess 0.17, which takes the same token, begins an interrupted file anew,
checks neither size nor content, and trusts a page with status 200.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from plumewatch import storage
from plumewatch.errors import InputError, ServiceError, redact
from plumewatch.http import MAX_MESSAGE, ask
from plumewatch.oco2.archive.earthdata import MOST_BYTES, EarthdataSession
from plumewatch.oco2.archive.file_head import HEAD_BYTES, HTML_PAGE, describe_other_than_hdf5
from plumewatch.oco2.archive.listing import StatedContent
from plumewatch.progress import Progress

CHUNK_BYTES = 1 << 16  # at most so much is fetched twice after a broken transfer
MB = 1_000_000
ATTEMPTS = 4  # to go on after a broken transfer; with the backoff below a quarter of a minute in all
BACKOFF_S = 2.0
APPROVAL = (
    "an account that has approved the application 'NASA GESDISC DATA ARCHIVE' in its Earthdata profile "
    "(https://urs.earthdata.nasa.gov/profile, Applications), with a token that is still valid"
)
PART, VALIDATOR, IDENTITY = "part", "validator", "identity"

log = logging.getLogger(__name__)


class _Interrupted(Exception):
    """The transfer ended before the file was whole; what has come is kept."""


def download_granule(session: EarthdataSession, url: str, target: Path, stated: StatedContent | None = None) -> Path:
    """Bring the HDF5 file at `url` to `target` and return it; one that is there already, and as `stated`, is left.

    What has come lies in `<target>.download` until the file is whole, also when the process dies; the next call goes on
    behind it, or begins anew where the server has another object by now (ETag, If-Range) or knows no ranges. Size and
    checksum are compared with the server's and with what the catalogue `stated`.

    Raises ServiceError where the archive refuses (401, 403), fails or sends something of another size; InputError where
    it sends something else than HDF5, such as the page with status 200 for accounts that lack an approval.
    """
    folder = target.with_name(f"{target.name}.download")
    with storage.lock(str(folder)):
        try:
            if target.is_file() and _difference(target, stated):
                target.unlink()
            if not target.is_file():  # another process may have brought it meanwhile
                _transfer(session, url, folder, stated)
                _check(url, folder / PART, stated)
                (folder / PART).replace(target)
        finally:
            if target.is_file() or not _bytes_there(folder):
                _remove(folder)
    return target


def _remove(folder: Path) -> None:
    """Remove the folder of a download, its lock last: until then nobody else begins in it."""
    for name in (PART, VALIDATOR, storage.LOCK):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another process has it already
        folder.rmdir()


def _bytes_there(folder: Path) -> int:
    """Bytes that a transfer can go on behind."""
    part = folder / PART
    return part.stat().st_size if part.is_file() and (folder / VALIDATOR).is_file() else 0


def _transfer(session: EarthdataSession, url: str, folder: Path, stated: StatedContent | None) -> None:
    """Bring the whole file into the folder, going on where a transfer breaks."""
    for attempt in range(ATTEMPTS):
        try:
            _request(session, url, folder, stated)
            return
        except _Interrupted as error:
            reason = error
            log.warning("%s: %s", redact(url), error)
            if attempt + 1 < ATTEMPTS:
                time.sleep(BACKOFF_S * 2**attempt)
    raise ServiceError(f"{redact(url)}: broken off {ATTEMPTS} times: {reason}")


def _request(session: EarthdataSession, url: str, folder: Path, stated: StatedContent | None) -> None:
    """Ask for what is missing and append it. Raises _Interrupted where more is missing afterwards."""
    part, validator = folder / PART, folder / VALIDATOR
    n_there = _bytes_there(folder)
    headers = {"Accept-Encoding": IDENTITY}  # ranges count the bytes of the file itself
    if n_there:
        headers |= {"Range": f"bytes={n_there}-", "If-Range": validator.read_text()}
    with ask(session, url, headers=headers, stream=True) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable and n_there:
            if answer.headers.get("Content-Range") == f"bytes */{n_there}":
                return  # whole since the call that died
            part.unlink()
            raise _Interrupted("the file is shorter than what has come: beginning anew")
        _raise_for_status(answer, url)
        total = _begin(answer, n_there, part, validator)
        most = min(n for n in (total, stated.most_bytes if stated else None, MOST_BYTES) if n is not None)
        mb = None if total is None else Progress(redact(url), total // MB, "MB", done=n_there // MB)
        _append(answer, url, part, most, mb)
    if total is not None and part.stat().st_size != total:
        raise _Interrupted(f"{part.stat().st_size} of {total} bytes have come")


def _begin(answer: requests.Response, n_there: int, part: Path, validator: Path) -> int | None:
    """Prepare the part for what the answer holds; return the bytes of the whole file where the server says so."""
    if answer.status_code == requests.codes.partial_content:
        match = re.fullmatch(r"bytes ([0-9]{1,15})-[0-9]{1,15}/([0-9]{1,15})", answer.headers.get("Content-Range", ""))
        if not match or int(match[1]) != n_there:
            part.unlink(missing_ok=True)
            raise _Interrupted(f"another range than asked for ({answer.headers.get('Content-Range')}): beginning anew")
        return int(match[2])
    part.unlink(missing_ok=True)  # in this order: a part never lies beside the validator of another object
    tag, date = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
    validator.unlink(missing_ok=True)
    if strong := date if tag.startswith("W/") or not tag else tag:
        validator.write_text(strong)
    length = answer.headers.get("Content-Length", "")
    return int(length) if re.fullmatch("[0-9]{1,15}", length) else None


def _append(answer: requests.Response, url: str, part: Path, most_bytes: int, mb: Progress | None) -> None:
    """Write what comes behind the part; its head is looked at before a byte is written, its end never passed."""
    try:
        with part.open("ab") as file:
            for chunk in _checked(answer.iter_content(CHUNK_BYTES), url, has_head=file.tell() > 0):
                if file.tell() + len(chunk) > most_bytes:
                    file.truncate(0)
                    raise ServiceError(f"{redact(url)}: more than the {most_bytes} bytes that the file may have")
                file.write(chunk)
                if mb:
                    mb.reached(file.tell() // MB)
    except requests.RequestException as error:
        raise _Interrupted(redact(str(error))[:MAX_MESSAGE]) from error


def _checked(chunks: Iterator[bytes], url: str, *, has_head: bool) -> Iterator[bytes]:
    """The chunks, once there are enough of them to see that they are an HDF5 file's."""
    head = b""
    for chunk in chunks:
        if has_head:
            yield chunk
            continue
        head += chunk
        if len(head) >= HEAD_BYTES:
            _check_head(url, head)
            has_head = True
            yield head
    if not has_head:
        if not head:
            raise InputError(redact(url), "an empty answer", "an HDF5 file")
        _check_head(url, head)
        yield head


def _raise_for_status(answer: requests.Response, url: str) -> None:
    status = answer.status_code
    if status in (requests.codes.ok, requests.codes.partial_content):
        if (encoding := answer.headers.get("Content-Encoding", IDENTITY)) != IDENTITY:
            raise ServiceError(f"{redact(url)}: sent in the encoding {encoding[:MAX_MESSAGE]}, asked for as it is")
        return
    reason = {
        requests.codes.unauthorized: f"EARTHDATA_TOKEN is refused; allowed: {APPROVAL}",
        requests.codes.forbidden: f"the account may not have this file; allowed: {APPROVAL}",
    }.get(status, answer.reason)
    raise ServiceError(f"{redact(url)}: HTTP {status}: {reason}", status)


def _check_head(url: str, head: bytes) -> None:
    if found := describe_other_than_hdf5(head):
        is_page = found.startswith(HTML_PAGE)
        raise InputError(redact(url), f"{found} in place of the file", APPROVAL if is_page else "an HDF5 file")


def _check(url: str, part: Path, stated: StatedContent | None) -> None:
    """Compare a whole file with what the catalogue says of it; what differs is thrown away."""
    if difference := _difference(part, stated):
        part.unlink()
        raise ServiceError(f"{redact(url)}: {difference}")


def _difference(file: Path, stated: StatedContent | None) -> str | None:
    """In what a whole file differs from what the catalogue says of it."""
    if stated is None:
        return None
    size = file.stat().st_size
    if not stated.least_bytes <= size <= stated.most_bytes:
        return f"{size} bytes; the catalogue states {stated.least_bytes} to {stated.most_bytes}"
    if not stated.checksum_algorithm or not stated.checksum:
        return None
    with file.open("rb") as content:
        found = hashlib.file_digest(content, stated.checksum_algorithm).hexdigest()
    same = found == stated.checksum
    return None if same else f"{stated.checksum_algorithm} {found}; the catalogue states {stated.checksum}"
