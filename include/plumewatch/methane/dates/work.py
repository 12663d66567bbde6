"""A date that is searched, and what comes up on the way; the wind at the time of its passes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from plumewatch.failures import pass_name
from plumewatch.methane.dates.noting import failure_of, noted
from plumewatch.methane.dates.stored_passes import RefusedPass, StoredPasses
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.pass_rows import PassFacts
from plumewatch.methane.pass_search import time_of
from plumewatch.methane.passes import Pass
from plumewatch.models import FailedScene
from plumewatch.wind.at_point import WindAtPoint, WindLookup, wind_at
from plumewatch.wind.files import READ_AROUND
from plumewatch.wind.kept_files import KeptFiles


@dataclass
class Work:
    """A date that is searched, and what came up on the way."""

    task: AreaDates
    """What it is a part of."""
    day: str
    """The date, YYYY-MM-DD."""
    passes: StoredPasses
    """Of its area."""
    wind: KeptFiles | None
    """None without a wind_path."""
    inputs: set[str] = field(default_factory=set)
    """Partitions of pixels that were looked at."""
    lost: list[dict[str, Any]] = field(default_factory=list)
    """Observations of its passes that could not be searched."""
    failures: list[FailedScene] = field(default_factory=list)
    """Its own, or of references and wind."""

    def noting(self, day: str, part: str = "") -> AbstractContextManager[None]:
        """Go on after an exception of the block and note it as a failure of a date, its own or an earlier one."""
        return noted(self.failures, self.task.area, day, part)

    def noting_reference(self, day: str, part: str = "") -> AbstractContextManager[None]:
        """The same of an earlier date that is looked at as a reference; raises what isn't its content's fault."""
        return noted(self.failures, self.task.area, day, part, is_reference=True)

    def note(self, refused: RefusedPass, day: str) -> None:
        """Note a pass that cannot be used."""
        part = pass_name(refused.platform, refused.relative_orbit)
        self.failures.append(failure_of(refused.error, self.task.area, day, part))


def part_name(one: Pass | PassFacts, n_passes: int, method: str) -> str:
    """Return the name of a pass in its partition for what depends on the method; an only pass needs none."""
    name = [pass_name(one.platform, one.relative_orbit)] if n_passes > 1 else []
    return "/".join([*name, f"method={method}"])


@dataclass(frozen=True, eq=False)
class PassWind:
    """The wind at the time of a pass."""

    winds: WindLookup | None
    """None where there is none."""
    observed_at_utc: datetime
    """Of the pass."""

    def __call__(self, longitude: float, latitude: float) -> WindAtPoint | None:
        """Return the wind at a place."""
        return None if self.winds is None else wind_at(self.winds, longitude, latitude, self.observed_at_utc)


def read_wind(target: Pass | PassFacts, work: Work) -> PassWind:
    """Return the wind around a pass, nowhere known where there are no files of it."""
    observed_at = time_of(target, work.day)
    if work.wind is None:
        return PassWind(None, observed_at)
    place = target.place
    bottom, right = place.height - 1, place.width - 1
    corners = place.longitude_latitude([0, 0, bottom, bottom], [0, right, 0, right])
    rows = work.wind.read(
        observed_at - READ_AROUND,
        observed_at + READ_AROUND,
        corners,
        lambda failure: work.failures.append(replace(failure, area=work.task.area)),
    )
    return PassWind(WindLookup.of(rows), observed_at)
