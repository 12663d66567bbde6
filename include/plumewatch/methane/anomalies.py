"""Pixels that an Isolation Forest sets apart, and their clusters: a method without physics, kept to compare with.

Isolation Forest (Liu et al. 2008, doi:10.1109/ICDM.2008.17) on the reflectances of bands 11 and 12 and their
difference, then DBSCAN (Ester et al. 1996) on the coordinates. Bright roofs, water and roads are anomalies as much as
methane is, so its clusters are never rated.

One forest is grown for the whole pass, and one score divides its pixels: batches bound the memory and don't change
what is anomalous. (A forest a batch calls the same share of every strip anomalous, be it empty desert or a refinery,
and other pixels for another size of the batches.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.gases import ISOLATION_FOREST
from plumewatch.geodesy import wrap_longitude
from plumewatch.methane.detection import Detection, enhancement_of
from plumewatch.methane.passes import Pass
from plumewatch.methane.references import compare_with_surroundings
from plumewatch.methane.thresholds import PlumeThresholds
from plumewatch.methane.verdicts import Candidate
from plumewatch.statuses import UNRATED

SEED = 0  # the forest's draws are the same for the same pixels
TREES, PIXELS_PER_TREE = 100, 256  # Liu et al. 2008, section 5: path lengths have converged by then
NOISE = -1  # cluster number of pixels that belong to none


@dataclass(frozen=True)
class ForestSettings:
    """Parameters of the method, as its arguments give them."""

    batch_size: int = 100_000
    """Pixels that are scored at a time, so that memory stays bounded; the outcome is the same for any number."""
    contamination: float = 0.01
    """Share of the pixels that are called anomalies."""
    eps_deg: float = 0.0005
    """Largest distance of neighbours in a cluster, degrees of latitude (0.0005 is 56 m)."""
    min_samples: int = 10
    """Neighbours, itself included, that make a pixel the core of a cluster."""
    most_cells: int = 4_000_000
    """A date on a window of more is refused: it is held whole, with a mask of all cells for each cluster."""


@dataclass(frozen=True, eq=False)
class Anomalies:
    """Anomalous pixels of one pass; arrays of equal length, in the order of the image's rows."""

    row: NDArray[np.int64]
    """Row on the pass's window."""
    col: NDArray[np.int64]
    """Column on the pass's window."""
    longitude: NDArray[np.float64]
    """Degrees."""
    latitude: NDArray[np.float64]
    """Degrees."""
    score: NDArray[np.float64]
    """Anomaly score after Liu et al., 0 to 1; 1 is most anomalous."""
    cluster: NDArray[np.int32]
    """Number of the cluster, -1 for none."""


def find_anomalies(target: Pass, settings: ForestSettings) -> Anomalies:
    """Return the anomalous ones among the usable pixels of a pass, with their clusters.

    Anomalous is what scores above the quantile 1 - contamination of the pass: of equal pixels none.
    """
    rows, cols = np.nonzero(target.is_usable & np.isfinite(target.b11) & np.isfinite(target.b12))
    score = _scores(target.b11[rows, cols], target.b12[rows, cols], settings.batch_size)
    index = np.flatnonzero(score > np.quantile(score, 1.0 - settings.contamination)) if len(score) else rows[:0]
    longitude, latitude = target.place.longitude_latitude(rows[index], cols[index])
    return Anomalies(
        row=rows[index],
        col=cols[index],
        longitude=longitude,
        latitude=latitude,
        score=score[index],
        cluster=_cluster(longitude, latitude, target.place.longitude0, settings),
    )


def _scores(b11: NDArray[np.float32], b12: NDArray[np.float32], batch_size: int) -> NDArray[np.float64]:
    """Return the anomaly score of each pixel by one forest, grown on as many pixels as its trees take."""
    from sklearn.ensemble import IsolationForest  # a second to import, which the other methods don't need

    if not len(b11):
        return np.zeros(0)

    def features(some: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        return np.column_stack([b11[some], b12[some], b11[some] - b12[some]])

    grown_on = min(len(b11), TREES * PIXELS_PER_TREE)
    drawn = np.sort(np.random.default_rng(SEED).choice(len(b11), grown_on, replace=False))
    forest = IsolationForest(
        n_estimators=TREES, max_samples=min(PIXELS_PER_TREE, grown_on), random_state=SEED, n_jobs=1
    ).fit(features(drawn))
    starts = range(0, len(b11), batch_size)
    return np.concatenate([-forest.score_samples(features(slice(start, start + batch_size))) for start in starts])


def _cluster(longitude: NDArray, latitude: NDArray, longitude0: float, settings: ForestSettings) -> NDArray[np.int32]:
    from sklearn.cluster import DBSCAN

    if not len(longitude):
        return np.zeros(0, np.int32)
    east = wrap_longitude(longitude - longitude0) * np.cos(np.radians(np.median(latitude)))
    labels = DBSCAN(eps=settings.eps_deg, min_samples=settings.min_samples).fit_predict(
        np.column_stack([east, latitude])
    )
    return labels.astype(np.int32)


def detect_isolation_forest(target: Pass, anomalies: Anomalies, limits: PlumeThresholds) -> Detection:
    """Return the clusters as unrated candidates, with the enhancement that one date alone gives."""
    comparison = compare_with_surroundings(target, limits)
    candidates = []
    for number in np.unique(anomalies.cluster[anomalies.cluster != NOISE]):
        mask = np.zeros(target.shape, bool)
        inside = anomalies.cluster == number
        mask[anomalies.row[inside], anomalies.col[inside]] = True
        candidates.append(Candidate(mask, significance=None, scale_m=None, probability=None, status=UNRATED))
    return Detection(
        method=ISOLATION_FOREST,
        enhancement_mol_m2=enhancement_of(comparison, target),
        valid=comparison.valid,
        candidates=tuple(candidates),
    )
