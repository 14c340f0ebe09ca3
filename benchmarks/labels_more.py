"""Known defects beside their accuracy: one defect in a hundred parts, and what recognising and learning cost in time.

Used by labels.py (`--imbalance`, `--speed`, `--quick`).
"""

import os
import time

import numpy as np
import onnx
import torch
from labelled_set import FOLDS, usual_class

from sightline.core.sample import TRAIN
from sightline.imaging.decoding import image_size
from sightline.runtime.inspector import Inspector
from sightline.runtime.recognition import named
from sightline.runtime.session import OnnxSession
from sightline.train.classify.classifier import _start, _steps, fit_classifier, objective
from sightline.train.labels.sampling import grouped_folds
from sightline.train.training import train

RARE = 0.01  # defective parts in the training part
IMBALANCE_GOAL, SPEED_GOAL = 0.10, 1.3
RUNS = 50
QUICK_GOAL_S, QUICK_PARTS, SIDES_PX = 25, {True: 75, False: 15}, (128, 400)  # good ones, and of each type


def imbalance(ready, judge, balanced, seeds=3):
    """Balanced accuracy over good and all types with 1 defect in 100 parts, beside plain learning of the same parts."""
    found = {"ours": [], "plain": []}
    kinds = [kind for kind in sorted(set(ready.truth)) if kind != "good"]
    for seed in range(seeds):
        rng, by_kind = np.random.default_rng(seed), {}
        for kind in ("good", *kinds):
            by_kind[kind] = rng.permutation(
                [i for i, one in enumerate(ready.truth) if one == kind and ready.fold[i] != seed]
            )
        wanted = round(len(by_kind["good"]) * RARE / (1 - RARE))
        bad = [i for rank in range(wanted) for kind in kinds for i in by_kind[kind][rank : rank + 1]][:wanted]
        parts = [ready.labelled[i] for i in (*by_kind["good"], *bad)]
        for name, learn in (("ours", fit_classifier), ("plain", plain)):
            net = learn(ready.maps_of, parts, ready.words, ready.settings, lambda *_: None)
            found[name].append(balanced(judge, net, ready, np.flatnonzero(ready.fold == seed)))
        print("1 in 100, seed", seed, {name: round(values[-1], 4) for name, values in found.items()}, flush=True)
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return means | {"by_seed": found, "good": len(by_kind["good"]), "defective": len(bad)}


def plain(maps_of, parts, words, settings, progress):
    """The same network as one learns it without a thought for rare types: parts as they come, plain cross-entropy."""
    settings = settings.model_copy(update={"loss": "plain"})
    torch.manual_seed(settings.seed)
    rng, net, steps = (
        np.random.default_rng(settings.seed),
        _start(maps_of, parts, words, settings),
        _steps(parts, settings),
    )
    net.trust.data.zero_()
    counts = torch.ones(len(words.types) + 1)
    silent = torch.zeros(settings.classifier_batch, len(net.default))
    rate = settings.classifier_rate
    optimiser = torch.optim.AdamW([x for x in net.parameters() if x.requires_grad], lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.15)
    net.train()
    for _ in range(steps):
        batch = [parts[i] for i in rng.choice(len(parts), settings.classifier_batch)]
        mirrored = rng.random(len(batch)) < 0.5
        maps = maps_of.batch([(x.part.hash, x.image, bool(m)) for x, m in zip(batch, mirrored, strict=True)])
        loss = objective(net, net(maps, 0.3, silent), batch, mirrored, counts, settings.loss)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def only_anomalies(model):
    """Leave out, in place, whatever the anomaly outputs do not need."""
    outputs = [output for output in model.graph.output if output.name in ("score", "p_value", "heatmap", "embedding")]
    needed, nodes = {output.name for output in outputs}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            nodes.insert(0, node)
            needed |= set(node.input)
    for field, values in ((model.graph.output, outputs), (model.graph.node, nodes)):
        del field[:]
        field.extend(values)


def speed(samples, good=200, each=12):
    """Median ms of the whole graph and of the same without what recognises types, in turns, 2 threads."""
    by_kind, chosen = {}, []
    for sample in samples:
        kind = sample.types[0] if sample.types else "good"
        by_kind[kind] = by_kind.get(kind, 0) + 1
        if by_kind[kind] <= (good if kind == "good" else each):
            chosen.append(sample)
    recipe = train([s for s in chosen if s.split in (TRAIN, None)], threads=2)
    model = onnx.load_from_string(recipe.data)
    only_anomalies(model)
    sessions = {"all": OnnxSession(recipe.data, 2), "anomaly": OnnxSession(model.SerializeToString(), 2)}
    shape = (1, recipe.card.height, recipe.card.width, 3)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    times = {name: [] for name in sessions}
    for turn in range(RUNS + 5):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run({"image": image})
            if turn >= 5:
                times[name].append(1000 * (time.perf_counter() - start))
    ms = {name: float(np.median(values)) for name, values in times.items()}
    return ms | {"ratio": ms["all"] / ms["anomaly"], "input": list(shape[1:3]), "bank": recipe.card.bank}


def quick(samples):
    """Seconds of `train --effort quick` with 75 good parts and up to 15 of each type, of 128 to 400 px, and what the
    recipe then calls the parts of another fold.
    """
    samples = [s for s in samples if all(SIDES_PX[0] <= side <= SIDES_PX[1] for side in image_size(s.path))]
    truth = [usual_class(sample) for sample in samples]
    fold = grouped_folds(truth, [str(sample.group) for sample in samples], FOLDS, 0)
    chosen = []
    for kind in sorted(set(truth)):
        own = [s for s, one, other in zip(samples, truth, fold, strict=True) if other and one == kind]
        chosen += list(np.random.default_rng(0).permutation(np.array(own, object)))[: QUICK_PARTS[kind == "good"]]
    start, spent, load = time.perf_counter(), time.process_time(), os.getloadavg()[0]
    recipe = train(chosen, effort="quick", threads=2)
    seconds, processor = time.perf_counter() - start, time.process_time() - spent
    judge, right = Inspector(recipe), {}
    for sample, kind, one in zip(samples, truth, fold, strict=True):
        if not one:
            called = next(iter(named(judge.inspect(sample.path).types, judge.card)), "good")
            right.setdefault(kind, []).append(called == kind)
    recalls = {kind: [int(np.sum(values)), len(values)] for kind, values in right.items()}
    balanced = float(np.mean([count / of for count, of in recalls.values()]))
    return {"parts": len(chosen), "seconds": seconds, "processor_s": processor, "load": load,
            "balanced_accuracy": balanced, "recalls": recalls}  # fmt: skip
