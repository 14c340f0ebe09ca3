"""The picture in the README: sample parts judged by a recipe. python examples/02_picture.py docs/images/cap.jpg"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import sightline as sl
from sightline.data.sample import write
from sightline.runtime.inspection import Overlay

target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()) / "cap.jpg"
SHOWN = ("good", "chipped_edge", "off_centre_print", "scratch")

folder = Path(tempfile.mkdtemp()) / "caps"
write(folder, "cap", good=60, defects_per_type=4, size=384)
parts = sl.Dataset.open(folder)
inspector = sl.Inspector(sl.train(parts, effort="normal"))
best = []
for kind in SHOWN:
    images = [sample.path for sample in parts.test if kind in (sample.types or ("good",))]
    results = [inspector.inspect(path) for path in images]
    best.append(max(results, key=lambda result: result.score if kind != "good" else -result.score))
pictures = [result.overlay().image for result in best]
target.parent.mkdir(parents=True, exist_ok=True)
print("see", Overlay(np.hstack(pictures)).save(target))
