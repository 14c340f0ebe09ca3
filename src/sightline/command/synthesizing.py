"""`sightline synthesize`: a contact sheet of made defects on a dataset's good parts, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.core.sample import Sample
    from sightline.runtime.image import Image


def synthesize(data: Path, output: Path, images: int, seed: int) -> dict[str, Any]:
    """Write a sheet of every generator on up to `images` good training parts: figures for `--json`.

    Where no training part has a marked defect, there is nothing to cut and paste, and that row is left out.
    """
    import numpy as np

    from sightline.data.dataset import Dataset
    from sightline.data.synthetic_defects import GENERATORS, collect, contact_sheet
    from sightline.runtime.recipe import check_writable

    check_writable(output)
    parts = Dataset.open(data, seed=seed).train
    rng = np.random.default_rng(seed)
    chosen = _good_images([parts.samples[i] for i in rng.permutation(len(parts))], images)
    donors = collect(parts)
    left_out = [] if donors else ["cut and paste"]
    generators = {name: generate for name, generate in GENERATORS.items() if name not in left_out}
    _write(output, contact_sheet(chosen, generators, rng, donors))
    return {
        "sheet": str(output),
        "images": len(chosen),
        "donors": len(donors),
        "generators": list(generators),
        "left_out": left_out,
    }


def describe(figures: dict[str, Any]) -> str:
    """What a person wants to know about the sheet."""
    text = f"{figures['sheet']}: {len(figures['generators'])} kinds of made defects on {figures['images']} good parts"
    if figures["left_out"]:
        return text + "\nNo training part has a defect marked with a mask, so there was nothing to cut and paste"
    return text + f"; {figures['donors']} real defects to cut and paste"


def _good_images(samples: Sequence[Sample], count: int) -> list[Image]:
    """The first readable images of good parts. Raises InputError where there is none."""
    from sightline.core.errors import InputError
    from sightline.runtime.image import read_image

    found: list[Image] = []
    for sample in samples:
        if len(found) == count:
            break
        if sample.defective is False:
            try:
                found.append(read_image(sample.path)[0])
            except InputError:
                continue  # training names it; the sheet takes the next
    if not found:
        raise InputError("the training part holds no good part that can be read. Add photos of good parts")
    return found


def _write(path: Path, sheet: Image) -> None:
    import cv2

    from sightline.core.errors import InputError
    from sightline.runtime.recipe import write_atomically

    try:
        done, data = cv2.imencode(path.suffix or ".png", sheet[..., ::-1])
    except cv2.error:
        done = False
    if not done:
        raise InputError(f"{path}: the sheet cannot be written in this format. Name a .png or .jpg file")
    write_atomically(path, data.tobytes())
