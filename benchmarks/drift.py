"""Is drift found in time, is its cause named, does nothing alarm while nothing changes? python benchmarks/drift.py

Streams are real parts that were held back from the training, drawn with replacement: `UNCHANGED` parts as they are,
then a ramp of `RAMP` parts into a change, which then stays. Delays count from the part at which the change has cost two
points of AUROC (good against defective parts under that change), or from the ramp's end where it costs less; a negative
delay is an alarm before that. Settings were chosen on the sets of CHOSEN_ON alone. Writes drift.json and drift.md.
"""

import csv
import json
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from drift_streams import CHANGES, DATA, LEVELS, measure, seen
from drift_table import write

import sightline
from sightline.core.card import MEASURES
from sightline.evaluate.metrics.image import image_auroc
from sightline.improve.causes import name_cause
from sightline.improve.charts import SIZE, Charts, Seen, Usual
from sightline.runtime.appearance import Reference, look, mean_picture
from sightline.runtime.appearance import measure as measure_look
from sightline.train.appearance import spread_of

HERE = Path(__file__).parent
CHOSEN_ON, CHECKED_ON = ("cookies", "cubes", "board"), ("tire", "fabric_stain", "casting")
UNCHANGED, RAMP, AFTER, RUNS = 300, 200, 700, 10
POINTS = 0.02
NEIGHBOURS = 0.5  # chance that a part is drawn from among the next few of its like, so that neighbours resemble
STEPS = (0.0, *LEVELS)
STILL, STILL_PARTS = 4, 5000  # unchanged streams of a set, and parts of each
TRAINED, RECIPES, MADE_PARTS = (20, 60, 200), 20, 4000  # made parts: training parts, recipes of each, parts of a stream


def values(kept, label, change, level):
    """(n, 112) of every picture under a change, with p-values, verdicts and scores."""
    prefix = f"{label}/{'none' if level == 0 else change}/{level:g}"
    one = {key: kept[f"{prefix}/{key}"] for key in ("measures", "places", "score", "distance", "p_value", "ok")}
    rows = np.column_stack([one["measures"], one["score"], one["distance"], one["places"].astype(float)])
    return rows, one["p_value"], one["ok"], one["score"]


def area(kept, change, level):
    """AUROC of good against defective parts under a change."""
    good, defective = (values(kept, label, change, level)[3] for label in ("good", "defective"))
    truth = np.repeat([False, True], [len(good), len(defective)])
    return image_auroc(np.concatenate([good, defective]), truth)


def counted_from(kept, change):
    """At which share of the ramp two points of AUROC are lost, None where they never are; and what is lost in all."""
    lost = [area(kept, change, 0.0) - area(kept, change, level) for level in STEPS]
    for at in range(1, len(STEPS)):
        if lost[at] >= POINTS:
            share = (POINTS - lost[at - 1]) / (lost[at] - lost[at - 1])
            return STEPS[at - 1] + share * (STEPS[at] - STEPS[at - 1]), lost[-1]
    return None, lost[-1]


def run(kept, usual, change, rng):
    """The first alarm of a stream into a change: part and cause; None and "" where there is none."""
    tables = [values(kept, "good", change, level) for level in STEPS]
    charts, count = Charts(), len(tables[0][0])
    for number in range(1, UNCHANGED + RAMP + AFTER + 1):
        level = np.clip((number - UNCHANGED) / RAMP, 0, 1) * (len(STEPS) - 1)
        step = int(level) + (rng.random() < level - int(level))
        rows, p_values, ok, _ = tables[min(step, len(STEPS) - 1)]
        one = rng.integers(count)
        drift = charts.add(Seen(number, rows[one], float(p_values[one]), bool(ok[one])), usual)
        if drift is not None:
            return number, name_cause(drift).name
    return None, ""


def supplied(kept, usual, rng):
    """As `run`, of a stream in which a growing share of parts, a half in the end, are the set's defective ones."""
    good, defective = (values(kept, label, "none", 0.0) for label in ("good", "defective"))
    charts = Charts()
    for number in range(1, UNCHANGED + RAMP + AFTER + 1):
        share = 0.5 * np.clip((number - UNCHANGED) / RAMP, 0, 1)
        rows, p_values, ok, _ = defective if rng.random() < share else good
        one = rng.integers(len(rows))
        drift = charts.add(Seen(number, rows[one], float(p_values[one]), bool(ok[one])), usual)
        if drift is not None:
            return number, name_cause(drift).name
    return None, ""


def still(kept, usual, rng):
    """Causes of the alarms of a stream in which nothing changes, with parts that resemble their neighbours."""
    rows, p_values, ok, _ = values(kept, "good", "none", 0.0)
    order, charts, alarms, at = np.argsort(rows[:, 0]), Charts(), [], 0
    for number in range(1, STILL_PARTS + 1):
        near = rng.random() < NEIGHBOURS
        at = int(np.clip(at + rng.integers(-2, 3), 0, len(order) - 1)) if near else int(rng.integers(len(order)))
        one = order[at]
        drift = charts.add(Seen(number, rows[one], float(p_values[one]), bool(ok[one])), usual)
        if drift is not None:
            alarms.append(name_cause(drift).name)
    return alarms


def judge(name):
    """A set's figures: each change's delays and causes, and alarms of unchanged streams."""
    card, kept = measure(name)
    usual, rng = Usual.of_card(card), np.random.default_rng(7)
    figures = {
        "trained": int(usual.of[0]), "held": len(kept["good/none/0/score"]), "auroc": area(kept, "none", 0.0),
        "changes": {}, "still": [alarm for _ in range(STILL) for alarm in still(kept, usual, rng)],
    }  # fmt: skip
    for change, cause in {**{name: cause for name, (cause, _) in CHANGES.items()}, "supplier": "product"}.items():
        share, lost = (None, 0.0) if change == "supplier" else counted_from(kept, change)
        begun = UNCHANGED + RAMP * (1.0 if share is None else share)
        streams = (
            supplied(kept, usual, rng) if change == "supplier" else run(kept, usual, change, rng) for _ in range(RUNS)
        )
        found = list(streams)
        figures["changes"][change] = {
            "cause": cause, "lost": lost, "costs": share is not None,
            "delays": [None if number is None else round(number - begun) for number, _ in found],
            "causes": dict(Counter(one for _, one in found if one)),
            "right": sum(one == cause for _, one in found),
            "before": sum(number is not None and number <= UNCHANGED for number, _ in found),
        }  # fmt: skip
    return figures


def made():
    """Alarms of made parts, by training parts: measures with long tails (Student's t, 5 degrees of freedom) that
    resemble their neighbours (autocorrelation 0.5), and p-values against as many calibration scores; a recipe for each
    stream.
    """
    rng, alarms = np.random.default_rng(11), {}

    def parts(count):
        noise, rows = rng.standard_t(5, (count, SIZE)), np.empty((count, SIZE))
        rows[0] = noise[0]
        for at in range(1, count):
            rows[at] = 0.5 * rows[at - 1] + np.sqrt(0.75) * noise[at]
        return rows * 10

    for trained in TRAINED:
        alarms[trained] = []
        for _ in range(RECIPES):
            training = parts(trained)
            spreads = [spread_of(column, trained) for column in training.T]
            mean, scale = (np.array([getattr(one, name) for one in spreads]) for name in ("mean", "scale"))
            usual = Usual(mean, scale, np.full(SIZE, float(trained)), "training", trained)
            charts, scores = Charts(), training[:, len(MEASURES)]
            for number, row in enumerate(parts(MADE_PARTS), start=1):
                p_value = (1 + np.count_nonzero(scores >= row[len(MEASURES)])) / (trained + 1)
                drift = charts.add(Seen(number, row, float(p_value), True), usual)
                if drift is not None:
                    alarms[trained].append(name_cause(drift).name)
    return alarms


def cost():
    """Milliseconds to measure a picture of 384 x 384 px, and to move the charts on by a part: median of 400."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    picture = np.asarray(cv2.GaussianBlur(rng.integers(0, 256, (384, 384, 3), np.uint8), (0, 0), 2), np.uint8)
    reference, charts = Reference.of(mean_picture([look(picture)])), Charts()
    usual = Usual(np.zeros(SIZE), np.ones(SIZE), np.full(SIZE, 100.0), "training", 100)
    part = Seen(1, rng.normal(0, 1, SIZE), 0.5, True)
    found = []
    for work in (lambda: measure_look(look(picture), reference), lambda: charts.add(part, usual)):
        times = []
        for _ in range(400):
            begun = time.perf_counter()
            work()
            times.append((time.perf_counter() - begun) * 1e3)
        found.append(round(float(np.median(times)), 3))
    return {"measure_ms": found[0], "chart_ms": found[1]}


def ballscrew():
    """The ball screw in its own order: a recipe of the first rounds, then all later pictures without pitting."""
    folder = DATA / "ballscrew"
    with (folder / "order.csv").open() as file:
        listed = sorted((row for row in csv.DictReader(file) if row["pitting"] == "0"), key=lambda row: row["time"])
    first = [row for row in listed if int(row["round"]) < 6]
    later = [row for row in listed if int(row["round"]) >= 6]
    samples = [sightline.Sample(path=folder / row["image"], defective=False) for row in first]
    recipe = sightline.train(samples, effort="quick", threads=1, progress=False)
    inspector, usual, charts, alarms = sightline.Inspector(recipe, threads=1), Usual.of_card(recipe.card), Charts(), []
    red = {}
    for number, row in enumerate(later, start=1):
        kept = seen(inspector, [folder / row["image"]])
        line = np.concatenate([kept["measures"][0], kept["score"], kept["distance"], kept["places"][0]])
        drift = charts.add(Seen(number, line, float(kept["p_value"][0]), bool(kept["ok"][0])), usual)
        red.setdefault(int(row["round"]), []).append(float(kept["measures"][0][0]))
        if drift is not None:
            since = int(later[drift.since - 1]["round"])
            alarms.append({"part": number, "round": int(row["round"]), "since_round": since,
                           "cause": name_cause(drift).name, "crossed": list(drift.crossed)})  # fmt: skip
    light = {one: round(100 * float(np.expm1(np.mean(found) - usual.mean[0])), 1) for one, found in red.items()}
    return {"trained": len(first), "parts": len(later), "alarms": alarms, "brightness_by_round": light}


if __name__ == "__main__":
    begun = time.perf_counter()
    told = {"sets": {name: judge(name) for name in (*CHOSEN_ON, *CHECKED_ON)}, "made": made(), "ballscrew": ballscrew()}
    told["cost"] = cost()
    told["counts"] = {"still": STILL * STILL_PARTS, "made": RECIPES * MADE_PARTS, "runs": RUNS}
    told["minutes"] = round((time.perf_counter() - begun) / 60, 1)
    (HERE / "drift.json").write_text(json.dumps(told, indent=1) + "\n")
    write(told, CHOSEN_ON, CHECKED_ON)
