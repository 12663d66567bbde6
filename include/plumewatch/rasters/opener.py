"""What rasterio opens rasters in buckets by: a file system that keeps what went wrong on the way, as GDAL doesn't."""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem
from rasterio.abc import FileContainer

from plumewatch.errors import PlumewatchError, is_trouble


class Opener(FileContainer):
    """A file system for one opening of a raster; what its files raise while they are read is kept in a list.

    rasterio 1.4 ends the whole process where the first read of a file raises, and calls the file damaged where a later
    one does. So such a read is one of no bytes, and whoever opens the raster looks at the list.
    """

    def __init__(self, fs: AbstractFileSystem, errors: list[Exception]) -> None:
        """Each error is put into `errors`."""
        self._fs, self._errors = fs, errors

    def open(self, path: str, mode: str = "rb", **named: Any) -> _File:
        """Return the file at `path`."""
        try:
            return _File(self._fs.open(path, mode, **named), self._errors)
        except Exception as error:
            # A file that there isn't may be one that GDAL looks for beside the raster.
            if is_trouble(error) or isinstance(error, PlumewatchError):
                self._errors.append(error)
            raise

    def isfile(self, path: str) -> bool:
        """Whether there is a file."""
        return bool(self._fs.isfile(path))

    def isdir(self, path: str) -> bool:
        """Whether there is a folder."""
        return bool(self._fs.isdir(path))

    def ls(self, path: str) -> list[str]:
        """Return what is in a folder."""
        return list(self._fs.ls(path, detail=False))

    def mtime(self, path: str) -> int:
        """Return when a file was last written, in seconds since 1970."""
        return int(self._fs.modified(path).timestamp())

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        return int(self._fs.size(path))

    def rm(self, path: str) -> None:
        """Nothing is removed: rasters are opened to be read."""
        raise PermissionError(path)


class _File:
    def __init__(self, file: Any, errors: list[Exception]) -> None:
        self._file, self._errors = file, errors

    def read(self, size: int = -1) -> bytes:
        try:
            return bytes(self._file.read(size))
        except Exception as error:  # noqa: BLE001 - whatever it is, it would end the process
            self._errors.append(error)
            return b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
