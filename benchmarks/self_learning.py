"""What self-learning is worth, and what it lets pass: python benchmarks/self_learning.py

Good ball screws in their own order over ten days after the training, while light and dirt change; and cookies under a
lamp that fades by 30 % and turns reddish. Half of the defective parts are known to the canary, the other half is not.
Every part is judged by the recipe as it was made and by the one that learns; a round comes after every 24 usable parts.
`answers`: people answer what is for REVIEW, rightly. `slipped`: unknown defects come along among the good parts, one in
twenty on cookies, all of them in their own order on ball screws; where they are OK, the station may learn from them.
"""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.result import Verdict
from sightline.data.dataset import Dataset
from sightline.evaluate.statistics.intervals import exact_rate
from sightline.improve.canary import KnownPart
from sightline.improve.self_learning import Learner
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.training import train

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SIGHTLINE_DATA", HERE.parent.parent / "shared" / "data"))
RESULTS, PAGE = HERE / "self_learning.json", HERE / "self_learning.md"
ROUND = 24
COOKIES = 320  # parts of the stream: those of the test part again and again
FADE, REDDISH = 0.7, 0.12
Picture = NDArray[np.uint8]
Part = tuple[str, Picture, bool]  # name, picture, defective


def read(path: Path) -> Picture:
    return np.asarray(cv2.imread(str(path))[..., ::-1], np.uint8)


def ballscrew(slipped: bool) -> tuple[list[Part], list[Part], Iterator[Part]]:
    """Known defective parts, unknown ones, and the stream."""
    folder = DATA / "ballscrew"
    with (folder / "order.csv").open(newline="") as file:
        rows = sorted((row["time"], row["image"]) for row in csv.DictReader(file) if row["image"].startswith("test/"))
    names = [name for _, name in rows]
    bad = [name for name in names if "/good/" not in name]
    known, unknown = ([(name, read(folder / name), True) for name in bad[start::2]] for start in (0, 1))
    among = {name for name, _, _ in unknown} if slipped else set()
    stream = ((name, read(folder / name), name in among) for name in names if "/good/" in name or name in among)
    return known, unknown, stream


def cookies(slipped: bool) -> tuple[list[Part], list[Part], Iterator[Part]]:
    rng, folder = np.random.default_rng(0), DATA / "cookies" / "test"
    bad = [(path.name, read(path), True) for path in sorted((folder / "defect").iterdir())]
    good = [(path.name, read(path), False) for path in sorted((folder / "good").iterdir())]
    known, unknown = bad[::2], bad[1::2]

    def stream() -> Iterator[Part]:
        for number in range(COOKIES):
            pool = unknown if slipped and rng.random() < 0.05 else good
            name, picture, defective = pool[rng.integers(len(pool))]
            yield f"{name} {number}", faded(picture, number / COOKIES), defective

    return known, unknown, stream()


def faded(picture: Picture, share: float) -> Picture:
    """The picture under a lamp that has gone that share of its way."""
    light = 1 - (1 - FADE) * share
    gains = np.array([light, light * (1 - REDDISH * share), light * (1 - 2 * REDDISH * share)])
    return np.clip(np.rint(picture * gains), 0, 255).astype(np.uint8)


def counts(verdicts: list[Verdict]) -> dict[str, int]:
    return {str(verdict): verdicts.count(verdict) for verdict in Verdict}


def run(recipe: Recipe, name: str, answers: bool, slipped: bool) -> dict[str, Any]:
    known, unknown, stream = {"ballscrew": ballscrew, "cookies": cookies}[name](slipped)
    learner = Learner(recipe, [KnownPart(part, picture, True) for part, picture, _ in known])
    frozen, learns = Inspector(recipe), Inspector(recipe)
    current, sure, told, judged, rounds = None, [], [], [], []
    for _, picture, defective in stream:
        old, new = frozen.inspect(picture).verdict, learns.inspect(picture).verdict
        judged.append((defective, old, new))
        if new is Verdict.OK:
            sure.append(picture)
        elif answers and new is Verdict.REVIEW and not defective:
            told.append(picture)
        if len(sure) + len(told) >= ROUND:
            found = learner.learn(current, sure, told, len(rounds) + 1)
            rounds.append(found.to_json())
            if found.adaptation is not None:
                current = found.adaptation
                learns.adapt(current)
            sure, told = [], []
    good = [(old, new) for defective, old, new in judged if not defective]
    quarter = max(1, len(good) // 4)
    parts = [good[start : start + quarter] for start in range(0, 4 * quarter, quarter)]
    picture_now = (lambda picture: faded(picture, 1.0)) if name == "cookies" else (lambda picture: picture)
    defects = [
        counts([one.inspect(picture_now(picture)).verdict for _, picture, _ in unknown]) for one in (frozen, learns)
    ]
    return {
        "set": name, "answers": answers, "slipped": slipped, "good": len(good),
        "quarters": [[counts([pair[side] for pair in part]) for side in (0, 1)] for part in parts],
        "all": [counts([pair[side] for pair in good]) for side in (0, 1)],
        "unknown": defects, "defects": len(unknown),
        "learned": sum(one["reason"] == "learned" for one in rounds), "rounds": len(rounds),
    }  # fmt: skip


def page(rows: list[dict[str, Any]]) -> str:
    assert __doc__
    lines = [
        "# Self-learning", "", __doc__.split("\n\n", 1)[1], "Made by `python benchmarks/self_learning.py`.", "",
        "| set | answers | slipped | rounds, learned | good parts NG: frozen, learning (by quarter) | "
        "good parts OK: frozen, learning | unknown defects OK at the end: frozen, learning |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        quarters = [[part[side]["NG"] for part in row["quarters"]] for side in (0, 1)]
        overkill = [exact_rate(row["all"][side]["NG"], row["good"]) for side in (0, 1)]
        escapes = [exact_rate(row["unknown"][side]["OK"], row["defects"]) for side in (0, 1)]
        ng = "; ".join(
            f"{row['all'][side]['NG']} ({', '.join(map(str, quarters[side]))}), {rate.value:.1%} "
            f"[{rate.lower:.1%}, {rate.upper:.1%}]"
            for side, rate in enumerate(overkill)
        )
        gone = "; ".join(f"{rate.count} of {rate.of} [{rate.lower:.1%}, {rate.upper:.1%}]" for rate in escapes)
        lines.append(
            f"| {row['set']} | {'yes' if row['answers'] else 'no'} | {'yes' if row['slipped'] else 'no'} | "
            f"{row['rounds']}, {row['learned']} | {ng} | {row['all'][0]['OK']}, {row['all'][1]['OK']} of {row['good']} "
            f"| {gone} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    recipes = {name: train(Dataset.open(DATA / name).train) for name in ("ballscrew", "cookies")}
    rows = [
        run(recipe, name, answers, slipped)
        for name, recipe in recipes.items()
        for answers, slipped in ((False, True), (True, False), (True, True))
    ]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    PAGE.write_text(page(rows))
