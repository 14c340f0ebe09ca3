"""The trunk fine-tuned beside frozen, by grouped 5-fold cross-validation: python benchmarks/finetune.py

magnetic_tile, 6 classes, with the functions that `sightline train` uses; the same folds as benchmarks/labels.py.
Writes finetune.json after each fold, goes on where it was stopped, and writes finetune.md.
"""

import argparse
import json
import os
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from sightline.data.dataset import Dataset
from sightline.evaluate.types import single_label
from sightline.models.backbone import backbone
from sightline.train.intake import Intake, accept, image_shapes, stretched_size
from sightline.train.kept_maps import KeptMaps
from sightline.train.labelled import label_parts
from sightline.train.labels import types_of, vocabulary
from sightline.train.recognise import fit_recogniser
from sightline.train.recognition import deal_folds
from sightline.train.sampling import grouped_folds
from sightline.train.settings import TrainSettings, parse_pairs
from sightline.train.trunk import open_trunk
from sightline.train.tuning.loop import fine_tune
from sightline.train.tuning.split import FOLDS as INNER
from sightline.train.tuning.whole import Whole, as_batch

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SIGHTLINE_DATA", HERE.parent.parent / "shared" / "data"))
SET, GOAL, GOAL_S, FOLDS = "magnetic_tile", 0.98, 480, 5


def prepare(settings):
    """Labelled parts, their words, and the frozen trunk's kept maps."""
    parts = accept(list(Dataset.open(DATA / SET, split=False)), by_unit=True)
    size = stretched_size(image_shapes(parts, np.random.default_rng(0)), settings.area_px)
    words, source = vocabulary(parts), backbone(settings.backbone)
    trunk = open_trunk(settings.backbone, settings.threads)
    grid = trunk(np.zeros((1, size.height, size.width, 3), np.uint8))[source.maps[0]].shape[2:]
    labelled = label_parts([Intake(parts, size, settings.roi)], words, tuple(grid))
    return labelled, words, KeptMaps(trunk, source), source


def run(turn, fold, labelled, words, maps_of, source, settings):
    """What fold `turn` is called by heads on the frozen trunk and by the fine-tuned network; the others teach both."""
    start = time.perf_counter()
    others = [x for x, own in zip(labelled, fold, strict=True) if own != turn]
    inner = deal_folds(others, INNER, settings.seed)
    learning = [x for x, own in zip(others, inner, strict=True) if own]
    stopping = [x for x, own in zip(others, inner, strict=True) if not own]
    heads = fit_recogniser(maps_of, learning, words, settings, lambda *_: None)
    after_heads = time.perf_counter()
    net, course = fine_tune(source, heads, learning, stopping, settings, shown)
    seconds = time.perf_counter() - start
    test = [int(index) for index in np.flatnonzero(fold == turn)]
    return {
        "index": test,
        "frozen": called(Whole(source, heads).eval(), labelled, test),
        "tuned": called(net.cpu(), labelled, test),
        "seconds": round(seconds, 1), "heads_s": round(after_heads - start, 1),
        "learning": len(learning), "stopping": len(stopping),
        "figures": course.figures, "best_epoch": course.best_epoch,
    }  # fmt: skip


def shown(stage, done, of):
    if done % 50 == 0:
        print(f"{stage} {done}/{of}", flush=True)


@torch.inference_mode()
def called(net, labelled, test):
    """The class of each part."""
    return [int(net(as_batch([labelled[i].image], torch.device("cpu"))).types.argmax()) for i in test]


def figures(folds, which, truth, units, names):
    index = [i for one in folds for i in one["index"]]
    said = [names[k] for one in folds for k in one[which]]
    found = single_label([truth[i] for i in index], said, names, groups=[units[i] for i in index])
    balanced = found.balanced_accuracy
    return {
        "balanced_accuracy": balanced.value, "from": balanced.lower, "to": balanced.upper, "parts": len(index),
        "accuracy": found.accuracy.count / found.accuracy.of,
        "recalls": {kind.name: [kind.recall.count, kind.recall.of] for kind in found.types if kind.recall.of},
    }  # fmt: skip


def page(result):
    tuned, frozen, folds = result["tuned"], result["frozen"], result["folds"]
    slowest = max(one["seconds"] for one in folds.values())
    rows = [
        "# The trunk fine-tuned", "",
        f"Measured {result['date']} with {result['threads']} threads by `python benchmarks/finetune.py`: {SET},",
        f"6 classes, {len(folds)} of 5 grouped folds, {result['settings']}. Of the other folds nine tenths teach, one",
        "tenth says when to stop; the frozen row is the same parts' heads on the frozen trunk.", "",
        "| trunk | balanced accuracy | from | to | parts | accuracy | recalls |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, one in (("frozen", frozen), ("fine-tuned", tuned)):
        recalls = ", ".join(f"{kind} {right}/{of}" for kind, (right, of) in one["recalls"].items())
        rows.append(f"| {name} | {one['balanced_accuracy']:.4f} | {one['from']:.4f} | {one['to']:.4f} | "
                    f"{one['parts']} | {one['accuracy']:.4f} | {recalls} |")  # fmt: skip
    yes = {True: "yes", False: "**no**"}
    rows += ["", f"Goal {GOAL} fine-tuned: {yes[tuned['balanced_accuracy'] >= GOAL]}. "
             f"Slowest fold {slowest:.0f} s, at most {GOAL_S}: {yes[slowest <= GOAL_S]}."]  # fmt: skip
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=FOLDS, help="of the five, to judge")
    parser.add_argument("--set", action="append", default=[], help="a training setting, key=value")
    parser.add_argument("--output", type=Path, default=HERE / "finetune.json", help="where folds are kept")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    settings = TrainSettings.parse({"trunk": "fine-tuned", **parse_pairs(options.set)})
    torch.set_num_threads(settings.threads)
    said = settings.model_dump_json(exclude_defaults=True)
    result = json.loads(options.output.read_text()) if options.output.exists() else {}
    if result.get("settings") != said:  # another run's folds say nothing of this one
        result = {"settings": said, "threads": settings.threads, "folds": {}}
    labelled, words, maps_of, source = prepare(settings)
    truth = [next(iter(types_of(x.part.sample)), "good") for x in labelled]
    units = [str(x.part.unit) for x in labelled]
    fold = grouped_folds(truth, units, FOLDS, 0)
    for turn in range(options.folds):
        if str(turn) not in result["folds"]:
            result["folds"][str(turn)] = run(turn, fold, labelled, words, maps_of, source, settings)
        result["date"] = datetime.now(UTC).strftime("%Y-%m-%d")
        for which in ("frozen", "tuned"):
            done = list(result["folds"].values())
            result[which] = figures(done, which, truth, units, ("good", *words.types))
            print("folds", len(done), which, result[which], flush=True)
        options.output.write_text(json.dumps(result, indent=1) + "\n")
        options.output.with_suffix(".md").write_text(page(result))


if __name__ == "__main__":
    main()
