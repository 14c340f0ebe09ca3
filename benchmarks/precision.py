"""What an engine and a precision cost and give, on real parts: accuracy, ms, images/s. Writes precision.json and .md.

Needs the extras train and openvino, and a folder `cookies` of real parts in $SIGHTLINE_DATA or ../shared/data.
All variants are timed in turn in one process, round by round, so that a machine's moods hit all of them alike.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np

import sightline
from sightline.core.errors import SettingError
from sightline.data.dataset import Dataset
from sightline.evaluate.evaluating import evaluate
from sightline.imaging.image import read_image
from sightline.runtime.inspector import Inspector
from sightline.runtime.letterbox import fit_letterbox, prepare
from sightline.runtime.session import OnnxSession, open_session
from sightline.train.backbone.extractor import backbone_onnx

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SIGHTLINE_DATA", HERE.parents[1] / "shared" / "data"))
THREADS, SIDE_PX = 2, 256
ROUNDS, RUNS = 8, 6
BATCHES = (1, 4, 8)
STREAM_IMAGES = 24  # per timing of streams
# name -> engine, its precision, the recipe's precision
VARIANTS = {
    "onnxruntime f32": ("onnxruntime", "f32", "f32"),
    "onnxruntime int8": ("onnxruntime", "f32", "int8"),
    "openvino f32": ("openvino", "f32", "f32"),
    "openvino bf16": ("openvino", "bf16", "f32"),
    "openvino int8": ("openvino", "f32", "int8"),
}
WANTED_SPEED, ALLOWED_LOSS = 1.7, 0.003


def variants(recipes):
    """Sessions by name, at `THREADS` threads; a precision that this processor has not is left out, with the reason."""
    sessions, missing = {}, {}
    for name, (engine, precision, trained) in VARIANTS.items():
        try:
            sessions[name] = open_session(recipes[trained].data, THREADS, engine, precision)
        except SettingError as error:
            missing[name] = str(error)
    return sessions, missing


def timed(actions, rounds=ROUNDS, runs=RUNS):
    """Median ms of each action, all in turn."""
    times = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            action()
            for _ in range(runs):
                start = time.perf_counter()
                action()
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: float(np.median(values)) for name, values in times.items()}


def accuracy(recipe, engine, precision, samples):
    found = evaluate(Inspector(recipe, THREADS, engine, precision), samples)
    return {"image_auroc": found.image_auroc, "aupro": found.aupro}


def trunks(images):
    """The backbone alone: what int8 can win where nothing else is in the graph."""
    from sightline.train.backbone.quantise import quantise

    exact = backbone_onnx("lite0")
    given = {"f32": exact, "int8": quantise(exact, images[:16])}
    batch = {"image": images[:1]}
    sessions = {
        f"{engine} {name}": open_session(data, THREADS, engine)
        for engine in ("onnxruntime", "openvino") for name, data in given.items()
    }  # fmt: skip
    return timed({name: (lambda s=session: s.run(batch)) for name, session in sessions.items()})


def batches(sessions, images):
    """Images/s at several batch sizes."""
    actions = {
        (name, size): (lambda s=session, n=size: s.run({"image": images[:n]}))
        for name, session in sessions.items() for size in BATCHES
    }  # fmt: skip
    ms = timed(actions, rounds=4, runs=3)
    return {name: {size: size * 1e3 / ms[name, size] for size in BATCHES} for name in sessions}


def streams(recipes, names, images):
    """Images/s of one session with two threads, and of two sessions with one thread each, batch 1."""
    rates = {}
    for name in names:
        engine, precision, trained = VARIANTS[name]
        one = [open_session(recipes[trained].data, 2, engine, precision)]
        two = [open_session(recipes[trained].data, 1, engine, precision) for _ in range(2)]
        ms = timed(
            {kind: (lambda s=sessions: feed(s, images)) for kind, sessions in (("one", one), ("two", two))}, 3, 2
        )
        rates[name] = {kind: STREAM_IMAGES * 1e3 / value for kind, value in ms.items()}
    return rates


def feed(sessions, images):
    def work(session):
        for index in range(STREAM_IMAGES // len(sessions)):
            session.run({"image": images[index % len(images)][None]})

    with ThreadPoolExecutor(len(sessions)) as pool:
        list(pool.map(work, sessions))


def loading(recipes, names):
    """ms from bytes to a session, and of onnxruntime without optimising."""
    actions = {}
    for name in names:
        engine, precision, trained = VARIANTS[name]
        data = recipes[trained].data
        actions[name] = lambda d=data, e=engine, p=precision: open_session(d, THREADS, e, p)
    actions["onnxruntime f32, not optimised"] = lambda: OnnxSession(recipes["f32"].data, THREADS, optimise=False)
    return timed(actions, rounds=2, runs=2)


def prepared(recipe, samples):
    card = recipe.card
    size = (card.height, card.width)
    images = [read_image(sample.path)[0] for sample in samples]
    return np.stack([prepare(image, fit_letterbox(image.shape[:2], size, card.roi, card.scale)) for image in images])


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((entry.split(":")[1].strip() for entry in lines if "model name" in entry), "unknown")
    flags = next((set(entry.split(":")[1].split()) for entry in lines if entry.startswith("flags")), set())
    abilities = [
        flag for flag in ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8") if flag in flags
    ]
    return {"cpu": model, "cores": os.cpu_count(), "abilities": abilities, "load": round(os.getloadavg()[0], 2)}


def measure():
    parts = Dataset.open(DATA / "cookies")
    before = machine()
    recipes = {p: sightline.train(parts, side_px=SIDE_PX, precision=p, threads=THREADS) for p in ("f32", "int8")}
    images = prepared(recipes["f32"], [*parts.train, *parts.test][:24])
    sessions, missing = variants(recipes)
    return {
        "machine": before,
        "versions": {name: version(name) for name in ("onnxruntime", "openvino", "sightline")},
        "input": list(images.shape[1:3]),
        "graph_ms": timed(
            {name: (lambda s=session: s.run({"image": images[:1]})) for name, session in sessions.items()}
        ),
        "trunk_ms": trunks(images),
        "accuracy": {name: accuracy(recipes[VARIANTS[name][2]], *VARIANTS[name][:2], parts.test) for name in sessions},
        "images_per_s": batches(sessions, images),
        "streams_images_per_s": streams(recipes, sessions, images),
        "loading_ms": loading(recipes, sessions),
        "recipe_mb": {name: len(recipe.data) / 2**20 for name, recipe in recipes.items()},
        "missing": missing,
        "load_after": round(os.getloadavg()[0], 2),
    }


def table(found):
    base, exact = found["graph_ms"]["onnxruntime f32"], found["accuracy"]["onnxruntime f32"]["image_auroc"]
    lines = [
        "# Engines and precisions",
        "",
        f"cookies, input {found['input'][1]} x {found['input'][0]} px, lite0, {THREADS} threads, medians, all in turn. "
        f"{found['machine']['cpu']}, {found['machine']['cores']} cores, {' '.join(found['machine']['abilities'])}; "
        f"load {found['machine']['load']} before, {found['load_after']} after. "
        + ", ".join(f"{name} {number}" for name, number in found["versions"].items())
        + ". Written by `benchmarks/precision.py`.",
        "",
        "| engine, recipe | graph ms | faster | image AUROC | AUPRO | images/s at batch "
        + " / ".join(map(str, BATCHES))
        + " | one session of 2 threads / two of 1, images/s | loading ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, ms in found["graph_ms"].items():
        right, rates = found["accuracy"][name], found["images_per_s"][name]
        pair = found["streams_images_per_s"][name]
        lines.append(
            f"| {name} | {ms:.1f} | {base / ms:.2f} x | {right['image_auroc']:.4f} | {right['aupro']:.3f} | "
            + " / ".join(f"{rates[size]:.0f}" for size in BATCHES)
            + f" | {pair['one']:.0f} / {pair['two']:.0f} | {found['loading_ms'][name]:.0f} |"
        )
    lines += [f"| {name} | not here: {reason} | | | | | | |" for name, reason in found["missing"].items()]
    times = found["trunk_ms"]
    lines += ["", "The backbone alone, ms: " + ", ".join(f"{name} {ms:.1f}" for name, ms in times.items()) + "."]
    reduced = [name for name in found["graph_ms"] if not name.endswith("f32")]
    met = [
        name for name in reduced
        if base / found["graph_ms"][name] >= WANTED_SPEED
        and exact - found["accuracy"][name]["image_auroc"] <= ALLOWED_LOSS
    ]  # fmt: skip
    says = "met by " + ", ".join(met) if met else "**not met on this machine**"
    lines += [
        "",
        f"Goal (int8 or bf16 {WANTED_SPEED} x faster than onnxruntime f32, at most 0.3 points of AUROC): {says}.",
    ]
    return "\n".join(lines) + "\n"


def main():
    found = measure()
    (HERE / "precision.json").write_text(json.dumps(found, indent=1) + "\n")
    (HERE / "precision.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
