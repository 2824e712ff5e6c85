"""Ranks models by one score, and says what of the order could be chance.

Intervals of values are those between percentiles of the resamples. Corrected for bias and skew
(BCa) they covered the truth as often, within 0.6 points in a hundred, at 100 to 1,000 rows.

Ranks have intervals: of M models, one is placed from 1 + the number that are significantly better
to M - the number that are significantly worse. As the tests hold for all pairs at once, so do the
intervals for all models (Mogstad, Romano, Shaikh and Wilhelm 2024, doi:10.1093/restud/rdad006; that
ranks need them is Goldstein and Spiegelhalter's warning, 1996, doi:10.2307/2983325).

Tiers: the first holds every model that no other is significantly better than, and so, with the
intervals' confidence, the truly best one; these taken away, the next is found in the same way, and
so on. No two models of a tier differ significantly, and each one of a lower tier is significantly
worse than some model of the tier above; two of neighbouring tiers may still be tied, which the
comparisons say. Unlike letters of a compact display (Piepho 2004, doi:10.1198/1061860043515), a
model has one tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.leaderboards.statistics.bootstrap import BootstrapSamples
from bench.leaderboards.statistics.comparisons import Comparisons, Models, compare_models, gather
from bench.task import ScoreInfo

LEVEL = 0.95
_LOST = 0.05  # share of resamples without a value that may be left out


@dataclass(frozen=True)
class RankedModel:
    """One model's place.

    Attributes:
        model: Its name.
        seeds: Runs whose mean its value is.
        value: The figure.
        error: Standard error over test rows and seeds.
        low, high: Interval of the value.
        rank: From 1; equal values share one.
        rank_low, rank_high: Ranks that the comparisons do not exclude, for all models at once.
        tier: From 1; see the module.
        note: What the interval does not know; empty if nothing.
    """

    model: str
    seeds: int
    value: float
    error: float
    low: float
    high: float
    rank: int
    rank_low: int
    rank_high: int
    tier: int
    note: str


@dataclass(frozen=True)
class Board:
    """Models ranked by one score.

    Attributes:
        figure: Name of the score.
        ranked_models: Models, best first.
        comparisons: Of all pairs, in the order of the models.
        excluded: By run, why it is not ranked.
        notes: What a reader should know, one line each.
    """

    figure: str
    ranked_models: tuple[RankedModel, ...]
    comparisons: Comparisons
    excluded: Mapping[str, str]
    notes: tuple[str, ...]


def rank(
    draws: BootstrapSamples,
    figure: str,
    models: Mapping[str, str],
    *,
    score: ScoreInfo | None = None,
    level: float = LEVEL,
) -> Board:
    """Rank models by one score.

    Args:
        draws: Resamples of :func:`bench.leaderboards.statistics.bootstrap.resample`.
        figure: Name of a score that the draws keep.
        models: Model of every run; runs of one model are its seeds.
        score: Direction and kind of the score; a correlation if None.
        level: Confidence of all intervals and tests.

    Raises:
        BenchError: No run has the score.
    """
    usable, excluded, lost = _usable(draws, figure)
    if not usable.runs:
        why = next((f"{run}: {reason}" for run, reason in excluded.items()), "there are no runs")
        raise BenchError(f"nothing to rank by {figure}. {why}")
    score = score or ScoreInfo(figure, figure)
    sign = 1.0 if score.higher_is_better else -1.0
    gathered = _sorted(gather(usable, score, models), sign)
    comparisons = compare_models(gathered, level=level, higher_is_better=score.higher_is_better)
    goodness = sign * gathered.values
    better = comparisons.better
    errors, low, high = _intervals(gathered, level)
    tiers = _tiers(better)
    ranked_models = tuple(
        RankedModel(
            model=name,
            seeds=int(gathered.seeds[i]),
            value=float(gathered.values[i]),
            error=float(errors[i]),
            low=float(low[i]),
            high=float(high[i]),
            rank=1 + int(np.count_nonzero(goodness > goodness[i])),
            rank_low=1 + int(better[:, i].sum()),
            rank_high=len(better) - int(better[i].sum()),
            tier=int(tiers[i]),
            note="" if gathered.seeds[i] > 1 else "one seed: nothing is known of other seeds",
        )
        for i, name in enumerate(gathered.names)
    )
    return Board(figure, ranked_models, comparisons, excluded, (*draws.notes, *lost))


def _usable(
    draws: BootstrapSamples, figure: str
) -> tuple[BootstrapSamples, dict[str, str], list[str]]:
    """Leave out runs without a figure, then resamples in which another run has none."""
    points, samples = draws.points[figure], draws.samples[figure]
    known = np.isfinite(samples).mean(axis=0)
    excluded = {}
    for run, point, share in zip(draws.runs, points, known, strict=True):
        if not np.isfinite(point):
            excluded[run] = f"no {figure}: {draws.problems.get(run, 'a subset is missing')}"
        elif share < 1 - _LOST:
            excluded[run] = f"no {figure} in {1 - share:.0%} of resamples: it hangs on few rows"
    kept = [i for i, run in enumerate(draws.runs) if run not in excluded]
    whole = np.flatnonzero(np.isfinite(samples[:, kept]).all(axis=1))
    count = len(samples) - len(whole)
    lost = [f"{count:,} of {len(samples):,} resamples left out: a run has no {figure}"]
    runs = tuple(draws.runs[i] for i in kept)
    left = BootstrapSamples(
        runs, {figure: points[kept]}, {figure: samples[whole][:, kept]}, draws.problems, draws.notes
    )
    return left, excluded, lost if count else []


def _sorted(models: Models, sign: float) -> Models:
    """Sort models, the best first; equal ones by name."""
    goodness = sign * models.values
    order = sorted(range(len(models.names)), key=lambda i: (-goodness[i], models.names[i]))
    return Models(
        tuple(models.names[i] for i in order),
        models.seeds[order],
        models.values[order],
        models.rows[:, order],
        models.single[order],
        models.spread[order],
        models.noise[order],
    )


def _intervals(
    models: Models, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return errors and percentile intervals ``(M,)``, stretched to how far errors reach."""
    from scipy import stats

    error, drawn, tail = models.error(), models.drawn(), (1 - level) / 2
    score = stats.norm.isf(tail)
    stretch = error.reach(score) / np.maximum(score * drawn.std(axis=0), np.sqrt(models.noise))
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    low, high = (models.values + stretch * (bound - models.values) for bound in (low, high))
    return error.standard, low, high


def _tiers(better: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number tiers from 1: ``(M,)``."""
    tiers = np.zeros(len(better), dtype=np.int64)
    while not tiers.all():
        left = tiers == 0
        tiers[left & ~better[left].any(axis=0)] = tiers.max() + 1
    return tiers
