"""What learning gains over rules: the recipe beside a golden template of the same good parts, on the same tests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.evaluate.compare import Difference, auroc_difference
from sightline.evaluate.golden_template import MOST_TEMPLATES, GoldenTemplate
from sightline.evaluate.inspected import Inspected
from sightline.runtime.image import Image, content_hash, read_image
from sightline.runtime.placement import place, prepare

MOST_IMAGES = 400  # test images that the template judges, drawn at random: each costs some 20 ms
SIDE_PX = 512  # longest side that images are brought to


@dataclass(frozen=True, slots=True)
class Baseline:
    """The golden template's AUROC and the recipe's, `difference` = recipe - template with its interval.

    `templates` good images made the template; `images` of the `of` test images were judged by both.
    """

    difference: Difference
    templates: int
    images: int
    of: int

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {
            "golden_template": self.difference.first,
            "recipe": self.difference.second,
            "gain": self.difference.to_json(),
            "templates": self.templates,
            "images": self.images,
            "of": self.of,
        }


def baseline(images: Sequence[Inspected], references: Iterable[Sample], card: Card, seed: int = 0) -> Baseline | None:
    """The rule-based figure beside the recipe's; None without enough good references, or with one class only.

    `references` are good parts that the recipe was trained on; others among them are passed over.
    """
    trained = frozenset(card.trained_on)
    good = [sample for sample in references if sample.defective is False]
    order = np.random.default_rng(seed).permutation(len(good))
    chosen: list[Image] = []
    for index in order:
        image = _prepared(good[index].path, card, trained)
        if image is not None:
            chosen.append(image)
        if len(chosen) == MOST_TEMPLATES:
            break
    picked = [images[i] for i in sorted(np.random.default_rng(seed).permutation(len(images))[:MOST_IMAGES])]
    if len({image.defective for image in picked}) < 2:
        return None
    try:
        template = GoldenTemplate.fit(chosen)
    except InputError:
        return None
    judged = [(image, template.score(view)) for image in picked if (view := _prepared(image.path, card)) is not None]
    if not judged:
        return None
    found = auroc_difference(
        [score for _, score in judged],
        [image.score for image, _ in judged],
        [image.defective for image, _ in judged],
        groups=[image.group or str(image.path) for image, _ in judged],
    )
    return Baseline(found, template.images, len(judged), len(images))


def _prepared(path: Any, card: Card, trained: frozenset[str] | None = None) -> Image | None:
    """The image as the recipe's input shows it, at most `SIDE_PX` long; None where it is not wanted or has gone."""
    try:
        if trained is not None and content_hash(path) not in trained:
            return None
        image, _ = read_image(path)
    except (InputError, OSError):
        return None
    # Tiles are pieces of an image: the template sees the whole, small enough to be kept many times.
    factor = min(1.0, SIDE_PX / max(card.height, card.width))
    size = (max(32, round(card.height * factor)), max(32, round(card.width * factor)))
    stretch = card.stretch is not None or card.tiles is not None
    return prepare(image, place(image.shape[:2], size, card.roi, math.inf, stretch))
