"""Other NG limits of few good parts, on the scores of real ones: python benchmarks/limits.py

The good test parts of every row of `generalise.json` (normal, all good parts) are dealt many times: some stand for the
held-out parts that a limit is set from, the others are judged by it. So the parts are exchangeable, and what is left
is the estimator: the overkill that it gives against the 2 % that it aims at, how often more than 6 % come, how much
the limit moves, and how many defective parts lie above it.
"""

import json
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
from generalise import RESULTS

from sightline.evaluate.thresholds import Targets, ng_limit

HERE = Path(__file__).parent
PAGE = HERE / "limits.md"
TARGET, BAD, DEALS, LEAST_JUDGED = Targets().overkill, 0.06, 60, 12
COUNTS = (12, 20, 31, 45)
QUANTILES, NORMAL = (0.75, 0.8, 0.85, 0.9, 0.95), NormalDist()


def span(scores, factor):
    middle = np.median(scores)
    return middle + factor * (np.quantile(scores, 0.9) - middle)


def mean_excess(scores):
    """An exponential tail by all scores above the median, which is its maximum likelihood."""
    middle = np.median(scores)
    return middle + (scores[scores >= middle] - middle).mean() * math.log(0.5 / TARGET)


def normal_tail(scores):
    middle = np.median(scores)
    deviation = np.mean([(np.quantile(scores, q) - middle) / NORMAL.inv_cdf(q) for q in QUANTILES])
    return middle + NORMAL.inv_cdf(1 - TARGET) * deviation


LIMITS = {
    "as it is: exponential through the median and 90 %": lambda scores: ng_limit(scores, TARGET),
    "1.6 times from the median to 90 %": lambda scores: span(scores, 1.6),
    "exponential by the mean excess": mean_excess,
    "normal through five quantiles": normal_tail,
    "the highest": np.max,
}


def judged(row, limit, count, rng):
    """Overkill, limit and share of defective parts above it, over the deals of one row."""
    good, bad = (np.array([score for _, flag, score, _ in row["parts"] if flag is side]) for side in (False, True))
    found = []
    for _ in range(DEALS):
        order = rng.permutation(len(good))
        level = limit(np.sort(good[order[:count]]))
        found.append(((good[order[count:]] > level).mean(), level / good.std(), (bad > level).mean()))
    return np.array(found)


def page(rows):
    text = ["# NG limits of few good parts", "", str(__doc__).split("\n\n")[1]]
    for count in COUNTS:
        fit = [r for r in rows if sum(not part[1] for part in r["parts"]) >= count + LEAST_JUDGED]
        text += ["", f"## {count} held-out good parts, {len(fit)} rows", ""]
        heads = ("limit", "overkill", "of the worst row", f"deals above {BAD:.0%}", "limit's deviation", "defective NG")
        text += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for name, limit in LIMITS.items():
            rng = np.random.default_rng(0)
            found = np.array([judged(row, limit, count, rng) for row in fit])
            overkill, level, bad = found[..., 0], found[..., 1], found[..., 2]
            cells = [f"{overkill.mean():.1%}", f"{overkill.mean(axis=1).max():.1%}", f"{(overkill > BAD).mean():.0%}"]
            cells += [f"{level.std(axis=1).mean():.2f}", f"{bad.mean():.1%}"]
            text.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(text) + "\n\nThe limit's deviation is in standard deviations of the good scores.\n"


def main():
    rows = [r for r in json.loads(RESULTS.read_text()) if r["name"] == "normal" and not r["count"]]
    PAGE.write_text(page(rows))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
