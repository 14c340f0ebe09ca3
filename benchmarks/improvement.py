"""How much of the labels improvement needs: python benchmarks/improvement.py [seeds]

From 10 good cookies and from 20 good tires, parts of a pool are reviewed in four rounds, a tenth of the pool in each:
by the product's own selection (what is for REVIEW first, then parts drawn at random), or all at random. After each
round a recipe is trained on all that is labelled and tested on parts that are never in the pool. `all` has every
label of the pool. Effort quick at 256 px. Writes improvement.json and improvement.md after every round.
"""

import json
import os
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

import sightline as sl
from sightline.core.result import Verdict
from sightline.core.sample import Sample
from sightline.data.dataset import Dataset
from sightline.runtime.inspector import Inspector

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SIGHTLINE_DATA", HERE.parent.parent / "shared" / "data"))
STARTS = {"cookies": 10, "tire": 20}
ROUNDS, SHARE, TESTED = 4, 0.1, 0.5  # TESTED: of the set's own test part; the rest of it is in the pool
POOL = 160  # parts at most: training takes long on two cores


def parts_of(name: str, seed: int) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """Good parts to start with, the pool, and the test part."""
    rng, data = np.random.default_rng(seed), Dataset.open(DATA / name)
    good = [one for one in data.train if not one.defective]
    rng.shuffle(good)
    start, rest = good[: STARTS[name]], good[STARTS[name] :]
    tested: list[Sample] = []
    pool: list[Sample] = []
    for defective in (False, True):
        some = [one for one in data.test if bool(one.defective) == defective]
        rng.shuffle(some)
        cut = round(TESTED * len(some))
        tested += some[:cut]
        pool += some[cut:]
    pool += rest[: POOL - len(pool)]
    rng.shuffle(pool)
    return start, [replace(one, split="train") for one in pool], tested


def trained(samples: list[Sample], seed: int) -> sl.Recipe:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sl.train(samples, effort="quick", side_px=256, seed=seed)


def tested(recipe: sl.Recipe, samples: list[Sample]) -> dict[str, float | int]:
    found = sl.evaluate(recipe, samples)
    count = {name: getattr(found, name) for name in ("escapes", "overkills", "reviews")}
    return {
        "auroc": round(float(found.image_auroc or 0), 4),
        **{name: rate.count for name, rate in count.items()},
        "defective": count["escapes"].of,
        "good": count["overkills"].of,
    }


def chosen(recipe: sl.Recipe, waiting: list[Sample], count: int, how: str, rng: np.random.Generator) -> list[Sample]:
    """The parts that people are asked about next."""
    order = [waiting[index] for index in rng.permutation(len(waiting))]
    if how == "product":
        inspector = Inspector(recipe, threads=2)
        asked = [inspector.inspect(one.path).verdict is Verdict.REVIEW for one in order]
        order = [one for one, review in zip(order, asked, strict=True) if review] + [
            one for one, review in zip(order, asked, strict=True) if not review
        ]
    return order[:count]


def run(name: str, seed: int, rows: list[dict[str, object]]) -> None:
    start, pool, test = parts_of(name, seed)
    first = trained(start, seed)
    begun = tested(first, test)
    note(rows, name, seed, "start", 0, 0, len(pool), begun)
    for how in ("product", "random"):
        rng, labelled, recipe = np.random.default_rng(seed), list[Sample](), first
        for number in range(1, ROUNDS + 1):
            waiting = [one for one in pool if one not in labelled]
            labelled += chosen(recipe, waiting, round(SHARE * len(pool)), how, rng)
            recipe = trained(start + labelled, seed)
            note(rows, name, seed, how, number, len(labelled), len(pool), tested(recipe, test))
    note(rows, name, seed, "all", ROUNDS, len(pool), len(pool), tested(trained(start + pool, seed), test))


def note(
    rows: list[dict[str, object]], name: str, seed: int, how: str, number: int, labelled: int, pool: int,
    found: dict[str, float | int],
) -> None:  # fmt: skip
    rows.append({"set": name, "seed": seed, "how": how, "round": number, "labelled": labelled, "pool": pool, **found})
    (HERE / "improvement.json").write_text(json.dumps(rows, indent=1) + "\n")
    (HERE / "improvement.md").write_text(page(rows))
    print(f"{time.strftime('%H:%M:%S')} {rows[-1]}", file=sys.stderr)


def page(rows: list[dict[str, object]]) -> str:
    assert __doc__
    lines = ["# Improvement by labels", "", __doc__.split("\n\n", 1)[1].strip(), ""]
    lines += ["| set, seed | selection | round | labels of the pool | AUROC | escapes | overkill | review |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for one in rows:
        share = 100 * int(str(one["labelled"])) / int(str(one["pool"]))
        total = int(str(one["defective"])) + int(str(one["good"]))
        labels = f"{one['labelled']} of {one['pool']} ({share:.0f} %)"
        lines.append(
            f"| {one['set']}, {one['seed']} | {one['how']} | {one['round']} | {labels} | "
            f"{one['auroc']:.3f} | {one['escapes']} of {one['defective']} | {one['overkills']} of {one['good']} | "
            f"{one['reviews']} of {total} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    found: list[dict[str, object]] = []
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        for name in STARTS:
            run(name, seed, found)
