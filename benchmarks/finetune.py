"""The backbone fine-tuned beside frozen, by grouped 5-fold cross-validation: python benchmarks/finetune.py

magnetic_tile (6 classes) or steel_voc (6 types and their boxes), with the functions that `sightline train` uses; the
same folds as benchmarks/labels.py. Writes finetune.json after each fold, goes on where it was stopped, and writes
finetune.md.
"""

import argparse
import json
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from labelled_set import FOLDS, open_set

from sightline.evaluate.metrics.types import single_label
from sightline.train.classify.validation import deal_folds
from sightline.train.finetune.batches import FOLDS as INNER
from sightline.train.finetune.network import as_batch
from sightline.train.finetune.selection import tune
from sightline.train.finetune.validation import BoxValidationScore
from sightline.train.labels.targets import types_of
from sightline.train.settings import TrainSettings, parse_pairs

HERE = Path(__file__).parent
GOALS = {"magnetic_tile": ("balanced_accuracy", 0.98), "steel_voc": ("map50", 0.70)}


def run(turn, ready):
    """What fold `turn` is called by heads on the frozen backbone and by the fine-tuned network; the others teach
    both.
    """
    start, labelled, settings = time.perf_counter(), ready.labelled, ready.settings
    others = [x for x, own in zip(labelled, ready.fold, strict=True) if own != turn]
    inner = deal_folds(others, INNER, settings.seed)
    sides = (
        [x for x, own in zip(others, inner, strict=True) if own],
        [x for x, own in zip(others, inner, strict=True) if not own],
    )
    frozen, tuned, course = tune(ready.maps_of, ready.source, ready.words, sides, settings, shown)
    seconds = time.perf_counter() - start
    test = [int(index) for index in np.flatnonzero(ready.fold == turn)]
    return {
        "index": test, "frozen": answers(frozen, labelled, test), "tuned": answers(tuned, labelled, test),
        "seconds": round(seconds, 1), "learning": len(sides[0]), "stopping": len(sides[1]),
        "figures": course.figures, "best_epoch": course.best_epoch,
    }  # fmt: skip


def shown(stage, done, of):
    if done % 100 == 0:
        print(f"{stage} {done}/{of}", flush=True)


@torch.inference_mode()
def answers(net, labelled, test):
    """The class of each part, and the boxes' mAP50 where any are drawn."""
    called, boxes = [], BoxValidationScore(net)
    for index in test:
        maps = net.maps(as_batch([labelled[index].image], torch.device("cpu")))
        called.append(int(net.heads(maps).types.argmax()))
        boxes.add(maps, [labelled[index]])
    return {"called": called, "map50": next(iter(boxes.values()), None)}


def figures(folds, which, truth, units, names):
    index = [i for one in folds for i in one["index"]]
    said = [names[k] for one in folds for k in one[which]["called"]]
    # Of several types that are drawn on a part, the one that is named is right.
    true = [name if name in truth[i] else truth[i][0] for i, name in zip(index, said, strict=True)]
    found = single_label(true, said, names, groups=[units[i] for i in index])
    balanced, boxes = found.balanced_accuracy, [one[which]["map50"] for one in folds]
    return {
        "balanced_accuracy": balanced.value, "from": balanced.lower, "to": balanced.upper, "parts": len(index),
        "accuracy": found.accuracy.count / found.accuracy.of,
        "map50": None if None in boxes else float(np.mean(boxes)),
        "recalls": {kind.name: [kind.recall.count, kind.recall.of] for kind in found.types if kind.recall.of},
    }  # fmt: skip


def page(result):
    rows = [
        "# The backbone fine-tuned", "",
        "By `python benchmarks/finetune.py`, grouped folds. Nine tenths of the other folds teach, one says when to",
        "stop; the frozen row is the same parts' heads on the frozen backbone. mAP50 is the mean of the folds.",
    ]  # fmt: skip
    for name, one in result.items():
        key, goal = GOALS[name.partition(":")[0]]
        folds, value = one["folds"], one["tuned"][key]
        rows += ["", f"## {name}", "", f"{one['date']}, {one['threads']} threads, {len(folds)} of {FOLDS} folds, "
                 f"settings {one['settings']}. Slowest fold {max(x['seconds'] for x in folds.values()):.0f} s. "
                 f"Goal {key} {goal}: {'reached' if value >= goal else '**not reached**'}.", "",
                 "| backbone | balanced accuracy | from | to | parts | accuracy | mAP50 | recalls |",
                 "|---|---|---|---|---|---|---|---|"]  # fmt: skip
        for label, row in (("frozen", one["frozen"]), ("fine-tuned", one["tuned"])):
            recalls = ", ".join(f"{kind} {right}/{of}" for kind, (right, of) in row["recalls"].items())
            shown = [number(row[key]) for key in ("balanced_accuracy", "from", "to", "accuracy", "map50")]
            rows.append(f"| {label} | " + " | ".join([*shown[:3], str(row["parts"]), *shown[3:], recalls]) + " |")
    return "\n".join(rows) + "\n"


def number(value):
    return "-" if value is None else f"{value:.4f}"


def measure(name, count, settings, result, save):
    """All folds of SET or SET:SETTINGS that are not in `result` yet; `save` after each."""
    said = settings.model_dump_json(exclude_defaults=True)
    if result.get(name, {}).get("settings") != said:  # another run's folds say nothing of this one
        result[name] = {"settings": said, "threads": settings.threads, "folds": {}}
    one = result[name]
    ready = open_set(name.partition(":")[0], settings)
    truth = [types_of(x.part.sample) or ("good",) for x in ready.labelled]
    for turn in range(count):
        if str(turn) not in one["folds"]:
            one["folds"][str(turn)] = run(turn, ready)
        one["date"] = datetime.now(UTC).strftime("%Y-%m-%d")
        for which in ("frozen", "tuned"):
            one[which] = figures(list(one["folds"].values()), which, truth, ready.units, ("good", *ready.words.types))
            print(name, len(one["folds"]), "folds", which, one[which], flush=True)
        save(result)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(GOALS), help="of " + ", ".join(GOALS))
    parser.add_argument("--folds", type=int, default=FOLDS, help="of the five, to judge")
    parser.add_argument("--set", action="append", default=[], help="a training setting, key=value")
    parser.add_argument("--output", type=Path, default=HERE / "finetune.json", help="where folds are kept")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    settings = TrainSettings.parse({"backbone_training": "fine-tuned", **parse_pairs(options.set)})
    torch.set_num_threads(settings.threads)
    result = json.loads(options.output.read_text()) if options.output.exists() else {}

    def save(found):
        options.output.write_text(json.dumps(found) + "\n")
        options.output.with_suffix(".md").write_text(page(found))

    for name in options.sets.split(","):
        measure(":".join([name, *options.set]), options.folds, settings, result, save)


if __name__ == "__main__":
    main()
