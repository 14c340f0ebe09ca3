"""Recognising known defects on the frozen backbone, by grouped 5-fold cross-validation: python benchmarks/labels.py

Types, places and grades of the real sets, with the functions that `sightline train` uses.
Writes labels.json and labels.md.
"""

import argparse
import json
import os
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import torch
from labelled_set import DATA, FOLDS, open_set, usual_class
from labels_more import IMBALANCE_GOAL, QUICK_GOAL_S, SPEED_GOAL, imbalance, quick, speed

from sightline.data.dataset import Dataset
from sightline.evaluate.metrics.detection import box_scores, boxes_of, scored_boxes
from sightline.evaluate.metrics.grades import grade_scores
from sightline.evaluate.metrics.image import image_auroc
from sightline.evaluate.metrics.types import single_label
from sightline.imaging.image import read_image
from sightline.imaging.mask import read_mask
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.runtime.recognition import named, read_boxes
from sightline.train.classify.classifier import fit_classifier
from sightline.train.classify.detector import learn_boxes
from sightline.train.classify.validation import learn_labelled
from sightline.train.labels.sampling import grouped_folds
from sightline.train.labels.targets import types_of
from sightline.train.settings import TrainSettings
from sightline.train.teach.teaching import teach
from sightline.train.training import train

HERE = Path(__file__).parent
GOALS = {
    "magnetic_tile": {"balanced_accuracy": 0.97, "dice": 0.70},
    "solar_cells": {"kappa": 0.72, "auroc_0_3": 0.94},
    "steel_voc": {"accuracy": 0.998, "map50": 0.70},
}
SETS = ("magnetic_tile", "solar_cells", "solar_cells:dinov2-s", "solar_cells:dinov2-s:280", "steel_voc")
FEW_GOALS = {5: 0.75, 10: 0.82}


def run(name, folds):
    """Every part of `folds` of the five folds judged by a classifier that has not seen its group.

    `name` is a set, SET:BACKBONE, or SET:BACKBONE:SIDE_PX.
    """
    base, backbone_name, side = [*name.split(":"), "", ""][:3]
    settings = TrainSettings(backbone=backbone_name or "lite0", side_px=int(side) if side else None)
    ready = open_set(base, settings)
    words, labelled, graded = ready.words, ready.labelled, bool(ready.words.grades)
    said, seconds, dice, boxes = {}, [], [], []

    def place_of(part):
        return ready.loader(part).letterboxes[0]

    for turn in range(folds):
        start = time.perf_counter()
        seen = [x for x, other in zip(labelled, ready.fold, strict=True) if other != turn]
        net = fit_classifier(ready.maps_of, seen, words, settings, lambda *_: None)
        head = learn_boxes(ready.maps_of, seen, words, ready.source, settings, lambda *_: None)
        seconds.append(time.perf_counter() - start)
        for index in np.flatnonzero(ready.fold == turn):
            said[int(index)] = judge(net, ready.extractor, labelled[index], dice, head, place_of, words, boxes)
        print(name, "fold", turn, f"{seconds[-1]:.0f} s", flush=True)
    if graded:
        figures = grades(said, [x.part.sample.grade for x in labelled], ready.units)
    else:
        truth = [_shown(x, said.get(i), words, ready.truth[i]) for i, x in enumerate(labelled)]
        figures = types(said, truth, ready.units, words)
    if boxes:
        found = box_scores(*zip(*boxes, strict=True))
        figures |= {"map50": found.map50, "map50_95": found.map50_95, "boxes": sum(kind.truths for kind in found.types),
                    "ap50": {kind.name: kind.ap50 for kind in found.types}}  # fmt: skip
    if dice:
        figures |= {"dice": float(np.mean(dice)), "defect_maps": len(dice)}
    size = list(labelled[0].image.shape[:2])
    return figures | {"folds": folds, "parts": len(said), "fit_s": max(seconds), "input": size}


def few(ready, count, seeds=3):
    """Balanced accuracy with `count` examples of each type (and all good parts of four folds), on the fifth fold."""
    found = []
    for seed in range(seeds):
        rng, seen = np.random.default_rng(seed), []
        for kind in ("good", *ready.words.types):
            own = rng.permutation([i for i, one in enumerate(ready.truth) if one == kind and ready.fold[i] != seed])
            seen += list(own if kind == "good" else own[:count])
        parts = [ready.labelled[i] for i in seen]
        net = learn_all(ready.maps_of, parts, ready.words, ready.settings, lambda *_: None)
        found.append(balanced_accuracy(judge, net, ready, np.flatnonzero(ready.fold == seed)))
        print(count, "examples, seed", seed, f"{found[-1]:.4f}", flush=True)
    return {"examples": count, "balanced_accuracy": float(np.mean(found)), "by_seed": found}


def learn_all(*given):
    return learn_labelled(*given)[0]


def balanced_accuracy(judge, net, ready, test):
    said = {int(i): judge(net, ready.extractor, ready.labelled[i], []) for i in test}
    return types(said, ready.truth, ready.units, ready.words)["balanced_accuracy"]


def taught(name, kinds, folder, count=5):
    """Each type of `kinds`, all where none is named, is left out and taught with `count` examples; recall on a fold.

    Recipes without the type are kept in `folder`, where there is one: teaching is what is measured, not training.
    """
    rows = {}
    samples = list(Dataset.open(DATA / name, split=False))
    truth = [usual_class(sample) for sample in samples]
    fold = grouped_folds(truth, [str(sample.group) for sample in samples], FOLDS, 0)
    for left_out in kinds or sorted(set(truth) - {"good"}):
        known = [s for s, kind, one in zip(samples, truth, fold, strict=True) if one and kind != left_out]
        recipe = without(left_out, known, folder)
        new = [s.path for s, kind, one in zip(samples, truth, fold, strict=True) if one and kind == left_out]
        made = teach(recipe, left_out, list(np.random.default_rng(0).permutation(new)[:count]))
        before, after = Inspector(recipe), Inspector(made.recipe)
        test = [(s.path, kind) for s, kind, one in zip(samples, truth, fold, strict=True) if not one]
        right = {}
        for path, kind in test:
            for when, inspector in (("before", before), ("after", after)):
                called = next(iter(named(inspector.inspect(path).types, inspector.card)), "good")
                right.setdefault((when, kind == left_out), []).append((kind, called == kind))
        rows[left_out] = {
            "recall": balanced(right["after", True]), "of": len(right["after", True]), "seconds": made.seconds,
            "others_before": balanced(right["before", False]), "others_after": balanced(right["after", False]),
        }  # fmt: skip
        print(name, left_out, rows[left_out], flush=True)
    return rows


def without(left_out, known, folder):
    file = None if folder is None else folder / f"without-{left_out}.onnx"
    if file is not None and file.exists():
        return Recipe.load(file)
    recipe = train(known, synthetic=0)  # the guard, which chooses by synthetic defects, takes no part in this
    if file is not None:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(recipe.data)
    return recipe


def balanced(pairs):
    kinds = sorted({kind for kind, _ in pairs})
    return float(np.mean([np.mean([right for one, right in pairs if one == kind]) for kind in kinds]))


def _shown(x, said, words, usual):
    """The type that a part counts as: of several that are drawn on it, the one that is named, if it is one of them."""
    named = None if said is None else ("good", *words.types)[int(said[0].argmax())]
    return named if x.part.sample.regions and named in types_of(x.part.sample) else usual


@torch.inference_mode()
def judge(net, extractor, x, dice, head=None, place_of=None, words=None, boxes=None):
    """Class logits and expected grade of one part; its map's Dice goes to `dice` where it has a mask, its boxes, true
    and found by `head`, to `boxes` where any are drawn.
    """
    found = net({name: maps.float() for name, maps in extractor(x.image[None]).items()})
    if x.part.sample.mask is not None and x.cells is not None:
        mask = read_mask(x.part.sample.mask)
        seen = 1 - found.class_map.softmax(1)[0, 0].numpy()
        marked = cv2.resize(seen, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
        dice.append(2 * float((marked & mask).sum()) / max(1, int(marked.sum() + mask.sum())))
    if head is not None and x.part.sample.regions:
        where, shape = place_of(x.part), read_image(x.part.sample.path)[0].shape[:2]
        scores, corners = head.answers({name: maps.float() for name, maps in extractor(x.image[None]).items()})
        seen = read_boxes(scores[0].numpy(), corners[0].numpy(), words.types, where)
        boxes.append((boxes_of(x.part.sample, None, shape, words.types), scored_boxes(seen)))
    return found.types[0].numpy(), None if found.quality is None else float(net.grade(found.quality)[0])


def types(said, truth, units, words):
    names = ("good", *words.types)
    index = sorted(said)
    found = single_label(
        [truth[i] for i in index], [names[int(said[i][0].argmax())] for i in index], names,
        groups=[units[i] for i in index],
    )  # fmt: skip
    balanced = found.balanced_accuracy
    recalls = {kind.name: [kind.recall.count, kind.recall.of] for kind in found.types if kind.recall.of}
    return {"balanced_accuracy": balanced.value, "from": balanced.lower, "to": balanced.upper,
            "accuracy": found.accuracy.count / found.accuracy.of, "recalls": recalls}  # fmt: skip


def grades(said, truth, units):
    index = sorted(said)
    expected, true = np.array([said[i][1] for i in index]), np.array([truth[i] for i in index])
    groups = [units[i] for i in index]
    found = grade_scores(true, np.clip(np.rint(expected), 0, true.max()).astype(int), groups=groups)
    ends = (true == 0) | (true == true.max())
    return {"kappa": found.kappa.value, "from": found.kappa.lower, "to": found.kappa.upper,
            "auroc_0_3": image_auroc(expected[ends], true[ends] > 0),
            "adjacent": found.adjacent_rate.count / found.adjacent_rate.of}  # fmt: skip


def day(row):
    return f"{row['date']}, {row['cores']} cores"


def page(result):
    rows = [
        "# Known defects on the frozen backbone", "",
        "Written by `python benchmarks/labels.py`: grouped 5-fold cross-validation, EfficientNet-Lite0 frozen where no",
        "other backbone is named, default settings, seed 0. Each row has the day and the cores it was measured on.", "",
        "| set | figure | measured | must reach | reached | day |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, figures in result["sets"].items():
        for key, goal in GOALS[name.partition(":")[0]].items():
            value = figures.get(key)
            reached = "-" if value is None else "yes" if value >= goal else "**no**"
            rows.append(
                f"| {name} | {key} | {'-' if value is None else f'{value:.4f}'} | {goal} | {reached} | {day(figures)} |"
            )
        rows.append(f"| {name} | slowest fold, s | {figures['fit_s']:.0f} | 180 | "
                    f"{'yes' if figures['fit_s'] <= 180 else '**no**'} | {day(figures)} |")  # fmt: skip
    for row in result.get("few", []):
        rows.append(f"| magnetic_tile, {row['examples']} examples of each type | balanced accuracy, mean of 3 | "
                    f"{row['balanced_accuracy']:.4f} | {FEW_GOALS[row['examples']]} | "
                    f"{'yes' if row['balanced_accuracy'] >= FEW_GOALS[row['examples']] else '**no**'} | "
                    f"{day(row)} |")  # fmt: skip
    if "imbalance" in result:
        row = result["imbalance"]
        gain = row["ours"] - row["plain"]
        rows.append(f"| magnetic_tile, {row['defective']} defects in {row['good'] + row['defective']} parts | balanced "
                    f"accuracy; above plain cross-entropy | {row['ours']:.4f}; {gain:+.4f} | +{IMBALANCE_GOAL:.2f} | "
                    f"{'yes' if gain >= IMBALANCE_GOAL else '**no**'} | {day(row)} |")  # fmt: skip
    if "speed" in result:
        row = result["speed"]
        rows.append(f"| all readers at {row['input'][1]} x {row['input'][0]} px | p50, ms; times the anomaly graph | "
                    f"{row['all']:.1f}; {row['ratio']:.2f} | {SPEED_GOAL} | "
                    f"{'yes' if row['ratio'] <= SPEED_GOAL else '**no**'} | {day(row)} |")  # fmt: skip
    if "quick" in result:
        row = result["quick"]
        rows.append(f"| magnetic_tile, {row['parts']} parts at effort quick, load {row['load']:.1f} | "
                    "s in all (of the processor); balanced accuracy of types | "
                    f"{row['seconds']:.0f} ({row['processor_s']:.0f}); {row['balanced_accuracy']:.3f} | "
                    f"{QUICK_GOAL_S} | {'yes' if row['seconds'] <= QUICK_GOAL_S else '**no**'} | "
                    f"{day(row)} |")  # fmt: skip
    for kind, row in result.get("taught", {}).items():
        lost = row["others_before"] - row["others_after"]
        rows.append(f"| {kind} taught from 5 in {row['seconds']:.1f} s | recall of {row['of']}; others lose | "
                    f"{row['recall']:.2f}; {lost:+.3f} | 0.70; 0.02 | "
                    f"{'yes' if row['recall'] >= 0.7 and lost <= 0.02 else '**no**'} | {day(row)} |")  # fmt: skip
    for name, figures in result["sets"].items():
        more = {key: value for key, value in figures.items() if key not in GOALS[name.partition(":")[0]]}
        rows += ["", f"**{name}** ({figures['parts']} parts, {figures['folds']} of 5 folds): {json.dumps(more)}"]
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS), help="sets, or SET:BACKBONE[:SIDE_PX]")
    parser.add_argument("--folds", type=int, default=FOLDS, help="of the five, to judge")
    parser.add_argument("--few", action="store_true", help="learn from 5 and 10 examples of each type")
    parser.add_argument("--imbalance", action="store_true", help="learn from one defect in a hundred parts")
    parser.add_argument("--speed", action="store_true", help="time the graph with and without what recognises")
    parser.add_argument("--quick", action="store_true", help="time a training with effort quick")
    parser.add_argument("--teach", nargs="?", const="", help="teach each type in turn, or those named: A,B")
    parser.add_argument("--recipes", type=Path, help="with --teach: folder for recipes without a type")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    file = HERE / "labels.json"
    result = json.loads(file.read_text()) if file.exists() else {"sets": {}}
    today = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "cores": os.cpu_count()}
    for name in filter(None, options.sets.split(",")):
        result["sets"][name] = run(name, options.folds) | today
        file.write_text(json.dumps(result, indent=1) + "\n")
        (HERE / "labels.md").write_text(page(result))
    ready = open_set("magnetic_tile", TrainSettings()) if options.few or options.imbalance else None
    if options.few:
        result["few"] = [few(ready, count) | today for count in FEW_GOALS]
    if options.imbalance:
        result["imbalance"] = imbalance(ready, judge, balanced_accuracy) | today
    if options.speed:
        result["speed"] = speed(list(Dataset.open(DATA / "magnetic_tile", split=False))) | today
    if options.quick:
        result["quick"] = quick(list(Dataset.open(DATA / "magnetic_tile", split=False))) | today
    if options.teach is not None:
        kinds = list(filter(None, options.teach.split(",")))
        found = taught("magnetic_tile", kinds, options.recipes)
        result["taught"] = result.get("taught", {}) | {kind: row | today for kind, row in found.items()}
    file.write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "labels.md").write_text(page(result))
    print(page(result))


if __name__ == "__main__":
    main()
