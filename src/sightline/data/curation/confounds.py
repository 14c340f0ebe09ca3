"""What a recipe could learn instead of defects: the light, or the lot, where they go along with the label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sightline.data.curation.finding import Finding, Kind, Severity
from sightline.data.curation.signs import GOOD, Signs

TELLS = 0.80  # the area under the ROC curve whose lower bound must lie above this
Z = 2.576  # 99 %, two-sided: several measures and types are tried
FEWEST = 8  # images on either side
LOT_SIZE = 4
CHANCE = 0.01  # probability that a lot has one class by chance, at the set's shares
SHOWN = 6


def confound_findings(signs: Signs) -> Iterator[Finding]:
    """Light that tells defective from good, and lots that have parts of one class only."""
    yield from _light(signs)
    yield from _lots(signs)


def _light(signs: Signs) -> Iterator[Finding]:
    defective = np.array([sample.defective for sample in signs.samples], object)
    good, bad = np.flatnonzero(defective == False), np.flatnonzero(defective == True)  # noqa: E712 - None is neither
    for measure in ("brightness", "contrast"):
        values = signs.measure(measure)
        area, lower = auc(values[good], values[bad])
        if min(len(good), len(bad)) < FEWEST or lower < TELLS:
            continue
        more = "more" if np.median(values[bad]) > np.median(values[good]) else "less"
        middle = (float(np.median(values[good])), float(np.median(values[bad])))
        order = bad[np.argsort(values[bad] if more == "less" else -values[bad])]
        yield Finding(
            Kind.LIGHTING,
            Severity.MEDIUM,
            tuple(signs.names[i] for i in (*order[: SHOWN // 2], *good[: SHOWN // 2])),
            f"Defective images have {more} {measure} than good ones: {middle[1]:.0f} against {middle[0]:.0f} of 255 in "
            f"the median. {measure.capitalize()} alone tells them apart with an AUROC of {area:.2f} (at least "
            f"{lower:.2f} at 99 %).",
            "Photograph good and defective parts in turn under the same light. If the defects themselves change the "
            "light, dismiss this; if not, a recipe learns the lamp and not the defect.",
            strength=lower,
            about=f"light:{measure}",
        )


def auc(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[float, float]:
    """Area under the ROC curve of two samples, whichever is larger counted as 0.5 or more, and its lower 99 % bound.

    Standard error after J. Hanley and B. McNeil, Radiology 143, 1982. 0.5 and 0 where a sample is empty.
    """
    if not len(one) or not len(other):
        return 0.5, 0.0
    ranked = np.sort(one)
    below, upto = np.searchsorted(ranked, other, "left"), np.searchsorted(ranked, other, "right")
    area = float((below + upto).mean() / 2 / len(one))
    area = max(area, 1 - area)
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    m, n = len(one), len(other)
    variance = (area * (1 - area) + (m - 1) * (first - area**2) + (n - 1) * (second - area**2)) / (m * n)
    # Of samples that do not overlap, the formula would be certain; one image less on the wrong side is not.
    return area, area - Z * max(variance, (1 / min(m, n) / 4) ** 2) ** 0.5


def _lots(signs: Signs) -> Iterator[Finding]:
    members: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(signs.samples):
        if sample.lot is not None and sample.defective is not None:
            members[sample.lot].append(index)
    total = Counter(signs.samples[i].defective for rows in members.values() for i in rows)
    if len(members) < 2 or len(total) < 2:
        return
    for lot, rows in members.items():
        sides = {signs.samples[i].defective for i in rows}
        if len(rows) < LOT_SIZE or len(sides) > 1:
            continue
        only = sides.pop()
        chance = (total[only] / total.total()) ** len(rows)
        if chance < CHANCE:
            name = "defective" if only else GOOD
            yield Finding(
                Kind.LOT,
                Severity.MEDIUM,
                tuple(signs.names[i] for i in rows[:SHOWN]),
                f"All {len(rows)} images of lot '{lot}' are {name}; in the set, {total[only] / total.total():.0%} are.",
                f"Photograph {'good' if only else 'defective'} parts of this lot, too. Whatever else is particular to "
                "it (material, light, day) would be learned as the label.",
                strength=1 - chance,
                about=f"lot:{lot}",
            )
