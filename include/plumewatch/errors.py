"""What can go wrong: one base, one-line classes; a message says what was found and what is allowed."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator, Sequence
from datetime import date

TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500

_SECRETS = re.compile(
    r"(?i)(?P<name>[?&;](?:sig|se|sp|sv|st|sr|skoid|sas|token|access_token|key|subscription-key|x-(?:amz|goog)-[\w-]+|"
    r"awsaccesskeyid|signature|expires)=)"
    r"[^&;\s\"'>]*"
    r"|(?P<bearer>\b(?:bearer|basic)\s+)[\w.~+/=-]+"
    r"|(?P<word>\b(?:password|client_secret|secret|secret_key|access_token|token|api_key|apikey)[\"']?\s*[=:]\s*[\"']?"
    r"|_(?:password|secret|token)=)"
    r"[^\s,;\"'&}]+"
    r"|\bAKIA[0-9A-Z]{12,}"
    r"|(?P<scheme>\b\w+://)[^/\s]+(?=@)"
)


class PlumewatchError(Exception):
    """Base of all errors that the project raises on purpose."""

    is_retryable = False
    http_status: int | None = None


class ConfigurationError(PlumewatchError):
    """A setting, parameter or argument that cannot work, whatever the data."""


class ParameterError(ConfigurationError):
    """A parameter of a run that cannot work: the same run with other ones may."""


class InputError(PlumewatchError):
    """A file that cannot be used; trying again does not heal it."""

    def __init__(self, file: object, found: str, allowed: str) -> None:
        super().__init__(f"{file}: {found}; allowed: {allowed}")
        self.file, self.found, self.allowed = str(file), found, allowed

    def __reduce__(self) -> tuple:
        return type(self), (self.file, self.found, self.allowed)


class AccessRefused(InputError):
    """A file that may not be read: of what it holds nothing is known, so nothing may be concluded from its absence.

    In a bucket it may heal: keys run out and are renewed, and a new grant takes its time.
    """

    def __init__(self, file: object, found: str, allowed: str) -> None:
        super().__init__(file, found, allowed)
        self.is_retryable = is_remote(self.file)


class ServiceError(PlumewatchError):
    """A service that did not answer as agreed; retryable unless it refused the request itself (4xx but 429)."""

    def __init__(self, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.is_retryable = http_status is None or http_status == TOO_MANY_REQUESTS or http_status >= SERVER_ERROR

    def __reduce__(self) -> tuple:
        return type(self), (str(self), self.http_status)


class QuotaUsedUp(PlumewatchError):
    """A service has given all that it gives until a date; until then trying again is no use, and nothing is wrong."""

    def __init__(self, message: str, until: date) -> None:
        super().__init__(message)
        self.until = until

    def __reduce__(self) -> tuple:
        return type(self), (str(self), self.until)


class LockTimeout(PlumewatchError):
    """Another writer held a partition's lock for too long."""

    is_retryable = True


LASTING = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""Answers of a disk or a bucket that a second try doesn't change."""


def may_heal(error: BaseException) -> bool:
    """Return whether trying again makes sense: the project's own errors know; of others all but lasting answers."""
    if isinstance(error, PlumewatchError):
        return error.is_retryable
    return not isinstance(error, LASTING)


SURPRISES = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RecursionError, TypeError)
"""What a library seldom says of a file's content, and a mistake in a program often."""


def may_be_a_bug(error: BaseException) -> bool:
    """Return whether one of the errors that caused it may be a mistake of ours, so that its place is worth a look."""
    cause = error.__cause__
    return cause is not None and (isinstance(cause, SURPRISES) or may_be_a_bug(cause))


NETWORK = ("aiobotocore", "aiohttp", "botocore")
"""Packages whose errors come from the way to a bucket, and not from what a file holds."""
OF_CONTENT = (errno.EINVAL, errno.EOVERFLOW, errno.ENAMETOOLONG, errno.ELOOP)
"""What a disk says of places and names that damaged content asks for; the same each time."""
FIRST_LINE = 200  # characters of a library's message


@contextlib.contextmanager
def reading(file: object, allowed: str, found: str = "not readable") -> Iterator[None]:
    """Make whatever the block raises an error of ours that names `file`: the one boundary of all readers.

    It stands around what a library does with a file, and around what is made of the content: which errors they raise of
    a file that is cut, mixed up or of another kind is nobody's promise. InputError says what was `found`, before
    the library's words, and what is `allowed`; where a bucket doesn't deliver, it is a ServiceError. The project's own
    errors pass as they are, and so does the machine's trouble, which may heal: no memory, a full disk, a dead mount.
    """
    try:
        yield
    except (PlumewatchError, MemoryError):
        raise
    except Exception as error:
        name = redact(str(file))
        if is_trouble(error):
            if not is_remote(name):
                raise
            raise trouble_on_the_way(name, error) from error
        raise _input_error(name, error, allowed, found) from error


def is_remote(path: str) -> bool:
    """Return whether a path is in a bucket, or elsewhere behind an address."""
    return "://" in path and not path.startswith("file://")


def is_of_content(error: Exception) -> bool:
    """Return whether an error comes from what a file holds, the same each time it is read.

    What is refused, busy, broken off or too much for this machine now tells nothing of it.
    """
    if isinstance(error, PlumewatchError):
        return not isinstance(error, AccessRefused) and not error.is_retryable
    return not isinstance(error, PermissionError | MemoryError) and not is_trouble(error)


def is_trouble(error: Exception) -> bool:
    """Return whether an error comes from the machine, or the way to a bucket, and not from what a file holds."""
    if type(error).__module__.split(".")[0] in NETWORK or isinstance(error, ConnectionError | TimeoutError):
        return True
    # pyarrow, GDAL and HDF5 raise OSError without a number for what they can't make sense of.
    has_number = isinstance(error, OSError) and error.errno and error.errno not in OF_CONTENT
    return bool(has_number) and not isinstance(error, LASTING)


def trouble_on_the_way(file: str, error: Exception) -> ServiceError:
    """Return what is said where a bucket doesn't deliver a file."""
    return ServiceError(f"{redact(file)}: {type(error).__name__}: {_first_line(error)}")


def _input_error(file: str, error: Exception, allowed: str, found: str) -> InputError:
    if isinstance(error, LASTING):
        kind = AccessRefused if isinstance(error, PermissionError) else InputError
        return kind(file, f"not readable ({error.strerror or _first_line(error)})", "a file that may be read")
    return InputError(file, f"{found} ({type(error).__name__}: {_first_line(error)})", allowed)


def _first_line(error: Exception) -> str:
    return redact((str(error).splitlines() or [""])[0])[:FIRST_LINE]


def some_of(names: Sequence[str], most: int) -> str:
    """Return names for a message: the first so many, and how many more there are.

    >>> some_of(["a", "b"], 2), some_of(["a", "b", "c", "d"], 2)
    ('a, b', 'a, b and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def redact(text: str) -> str:
    """Return `text` without signatures, tokens and passwords, so that it may be stored and shown.

    Half of a character, which JSON may hold and UTF-8 can't, is written as its number.

    >>> redact("GET https://a/b.tif?sig=abc%2F&x=1")
    'GET https://a/b.tif?sig=***&x=1'
    """

    def keep_the_name(match: re.Match[str]) -> str:
        return (match["name"] or match["bearer"] or match["word"] or match["scheme"] or "") + "***"

    return _SECRETS.sub(keep_the_name, text).encode(errors="backslashreplace").decode()
