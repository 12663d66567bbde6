"""The command line of what is written from all that is stored: the site, the reports."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterable, Sequence

from plumewatch.areas import log_unreadable, read_areas
from plumewatch.errors import PlumewatchError
from plumewatch.models import Area
from plumewatch.settings import Settings, export_aws_settings

log = logging.getLogger(__name__)


def write_by_hand(prog: str, description: str | None, write: Callable[[str, Sequence[Area]], Iterable[str]]) -> int:
    """Write (storage root and areas of the settings to paths), name the paths, and return the exit code."""
    argparse.ArgumentParser(prog=prog, description=description).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    export_aws_settings()
    try:
        settings = Settings.load()
        areas = read_areas(*settings.area_folders, on_failure=log_unreadable)
        for path in write(settings.storage_root, areas):
            log.info("%s", path)
    except (PlumewatchError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0
