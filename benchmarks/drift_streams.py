"""Measures of real parts under changes of light, lens and camera, from which drift.py makes streams.

Each good part that was held back, and each defective one, is inspected as it is and at four levels of every change.
What is kept of a part is what a line's record keeps of it. python benchmarks/drift_streams.py SET... fills build/drift.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

import sightline
from sightline.data.dataset import Dataset
from sightline.imaging.image import read_image
from sightline.runtime.recipe import Recipe

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SIGHTLINE_DATA", HERE.parents[1] / "shared" / "data"))
KEPT = HERE.parent / "build" / "drift"
TRAINED, HELD, DEFECTIVE = 60, 30, 24  # parts at most
LEVELS = (0.25, 0.5, 0.75, 1.0)


def lit(image, level, gain):
    """Brighter or darker by a share."""
    return np.clip(np.rint(image * np.float32(1 + gain * level)), 0, 255).astype(np.uint8)


def defocused(image, level):
    """A Gaussian blur of up to 0.6 % of the longest side."""
    sigma = 0.006 * max(image.shape) * level
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def moved(image, level, turn=0.0, shift=0.0):
    """Turned by degrees and shifted by a share of the width; what comes in from outside repeats the edge."""
    high, wide = image.shape[:2]
    warp = cv2.getRotationMatrix2D(((wide - 1) / 2, (high - 1) / 2), -turn * level, 1.0)
    warp[0, 2] += shift * level * wide
    return np.asarray(
        cv2.warpAffine(image, warp, (wide, high), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT), np.uint8
    )


def tinted(image, level):
    """Red up by 10 %, blue down by 10 %."""
    gains = np.array([1 + 0.1 * level, 1, 1 - 0.1 * level], np.float32)
    return np.clip(np.rint(image * gains), 0, 255).astype(np.uint8)


def dirty(image, level):
    """Two blurred specks on the lens that keep up to 35 % of the light away."""
    high, wide = image.shape[:2]
    y, x = np.mgrid[:high, :wide].astype(np.float32)
    veil = np.ones((high, wide), np.float32)
    for across, down, size in ((0.42, 0.45, 0.05), (0.7, 0.6, 0.035)):
        away = (x - across * wide) ** 2 + (y - down * high) ** 2
        veil -= 0.35 * level * np.exp(-away / (2 * (size * wide) ** 2))
    return np.clip(np.rint(image * veil[..., None]), 0, 255).astype(np.uint8)


CHANGES = {
    "darker": ("light", lambda image, level: lit(image, level, -0.15)),
    "brighter": ("light", lambda image, level: lit(image, level, 0.15)),
    "defocus": ("lens", defocused),
    "turn": ("camera", lambda image, level: moved(image, level, turn=2.0)),
    "shift": ("camera", lambda image, level: moved(image, level, shift=0.03)),
    "colour": ("colour", tinted),
    "dirt": ("dirt", dirty),
}


def parts_of(name):
    """(training, held-back good, defective) samples of a set, drawn with one seed."""
    rng = np.random.default_rng(17)
    samples = list(Dataset.open(DATA / name, split=False))
    good = [one for one in samples if one.defective is False]
    defective = [one for one in samples if one.defective]
    listed = [one for one in good if one.split == "train"]
    tested = [one for one in good if one.split == "test"]
    if not tested:
        order = rng.permutation(len(good))
        listed, tested = [good[i] for i in order[: len(good) // 2]], [good[i] for i in order[len(good) // 2 :]]
    listed = [listed[i] for i in rng.permutation(len(listed))]
    training, rest = listed[:TRAINED], listed[TRAINED:]
    held = [*tested, *rest]
    held = [held[i] for i in rng.permutation(len(held))[:HELD]]
    return training, held, [defective[i] for i in rng.permutation(len(defective))[:DEFECTIVE]]


def seen(inspector, images):
    """What records keep of pictures: (n, 10) measures, (n, 100) places, scores, distances, p-values, OK or not."""
    found = [inspector.inspect(image) for image in images]
    return {
        "measures": np.array([one.appearance.measures for one in found]),
        "places": np.array([one.appearance.places.ravel() for one in found]),
        "score": np.array([one.score for one in found]),
        "distance": np.array([one.ood_distance for one in found]),
        "p_value": np.array([one.p_value for one in found]),
        "ok": np.array([str(one.verdict) == "OK" for one in found]),
    }


def measure(name):
    """The set's recipe (cards alone are needed) and measures, from the folder where they are kept or made there."""
    KEPT.mkdir(parents=True, exist_ok=True)
    recipe_file, file = KEPT / f"{name}.onnx", KEPT / f"{name}.npz"
    training, held, defective = parts_of(name)
    if not recipe_file.exists():
        sightline.train(training, effort="quick", threads=1, progress=False).save(recipe_file)
    if not file.exists():
        begun, inspector = time.perf_counter(), sightline.Inspector(recipe_file, threads=1)
        pictures = [[read_image(one.path)[0] for one in group] for group in (held, defective)]
        kept = {}
        for label, images in zip(("good", "defective"), pictures, strict=True):
            for change, (_, apply) in {"none": ("", None), **CHANGES}.items():
                for level in LEVELS if apply else (0.0,):
                    changed = [apply(image, level) if apply else image for image in images]
                    for key, values in seen(inspector, changed).items():
                        kept[f"{label}/{change}/{level:g}/{key}"] = values
        with tempfile.NamedTemporaryFile(dir=KEPT, suffix=".npz", delete=False) as handle:
            np.savez_compressed(handle, **kept)
        Path(handle.name).replace(file)
        sys.stderr.write(f"{name}: {len(held)} good, {len(defective)} defective, {time.perf_counter() - begun:.0f} s\n")
    return Recipe.load(recipe_file).card, dict(np.load(file))


if __name__ == "__main__":
    for one in sys.argv[1:]:
        measure(one)
