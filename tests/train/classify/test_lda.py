"""Evidence in single cells: a few marked examples name unseen parts, and no part judges itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sightline.core.sample import Sample
from sightline.imaging.image import Image
from sightline.models.classifier import Classifier
from sightline.train.backbone.cache import CachedMaps
from sightline.train.classify.lda import fit_lda
from sightline.train.images.loader import Part
from sightline.train.labels.targets import Labelled

SIDE, TYPES = 16, ("dent", "scratch")


class SyntheticParts(CachedMaps):
    """Maps of correlated noise; a defect adds its type's pattern to the cells of one corner."""

    def __init__(self, kinds: dict[str, int | None]) -> None:
        self.names, self._kinds = ("stride_4", "stride_8"), kinds
        rng = np.random.default_rng(0)
        self._mix = rng.normal(size=(9, 9)).astype(np.float32)
        self._patterns = rng.normal(size=(len(TYPES), 9)).astype(np.float32)

    def __call__(self, key: str, image: Image, mirrored: bool, upside_down: bool = False) -> dict[str, Tensor]:
        rng = np.random.default_rng(int(key))
        cells = np.einsum("fg,ghw->fhw", self._mix, rng.normal(size=(9, SIDE, SIDE)).astype(np.float32))
        kind = self._kinds[key]
        if kind is not None:
            cells[:, :3, :3] += 3 * self._patterns[kind][:, None, None]
        values = torch.from_numpy(cells[:, :: -1 if upside_down else 1, :: -1 if mirrored else 1].copy())[None]
        return {"stride_4": values[:, :4].repeat_interleave(2, 2).repeat_interleave(2, 3), "stride_8": values[:, 4:]}


def _labelled(number: int, kind: int | None, marked: bool = True) -> Labelled:
    classes = np.zeros(3, bool)
    classes[0 if kind is None else kind + 1] = True
    cells = np.zeros((3, 32, 32), np.float32)
    if kind is not None:
        cells[kind + 1, :6, :6] = 1
    cells[0] = 1 - cells[1:].max(0)
    sample = Sample(Path("x.png"), kind is not None, () if kind is None else (TYPES[kind],))
    image = np.full((8, 8, 3), number, np.uint8)
    return Labelled(Part(sample, str(number), number), image, classes, cells if marked or kind is None else None, -1)


def _fitted(marked: bool = True) -> tuple[Classifier, SyntheticParts, list[Labelled], Tensor]:
    kinds = [None] * 60 + [0] * 5 + [1] * 5
    parts = [_labelled(number, kind, marked) for number, kind in enumerate(kinds)]
    maps_of = SyntheticParts({str(number): ([*kinds, *([0, 1, None] * 10)])[number] for number in range(100)})
    net = Classifier(("stride_4", "stride_8"), (4, 5), 2, 0, True, 8)
    for name, standard in zip(net.names, net.standards, strict=True):
        values = torch.cat([maps_of(str(i), parts[i].image, False)[name].flatten(2)[0].T for i in range(60)])
        standard.fit(values)
    return net, maps_of, parts, fit_lda(net, maps_of, parts, True, np.random.default_rng(0))


def test_five_marked_examples_name_unseen_parts() -> None:
    net, maps_of, _, _ = _fitted()
    right = 0
    for number in range(70, 100):
        predicted = net.lda_logits(net.evident(maps_of(str(number), np.zeros((8, 8, 3), np.uint8), False)))[0]
        right += int(predicted.argmax()) == (1, 2, 0)[(number - 70) % 3]
    assert right >= 26


def test_nobody_has_to_mark_them() -> None:
    net, maps_of, _, _ = _fitted(marked=False)
    predicted = [net.evident(maps_of(str(70 + i), np.zeros((8, 8, 3), np.uint8), False))[0, :2] for i in range(30)]
    assert sum(int(x.argmax()) == i % 3 for i, x in enumerate(predicted) if i % 3 < 2) >= 16  # of 20 defective ones


def test_what_is_found_is_what_the_network_says_and_leaves_the_part_itself_out() -> None:
    net, maps_of, parts, found = _fitted()
    for index in (0, 17):
        assert torch.allclose(
            found[index, 0], net.evident(maps_of(str(index), parts[index].image, False))[0], atol=1e-4
        )
    kinds = [0] * 5 + [1] * 5
    own = [net.evident(maps_of(str(i), parts[i].image, False))[0, kinds[i - 60]] for i in range(60, 70)]
    without = [found[i, 0, kinds[i - 60]] for i in range(60, 70)]
    assert sum(float(a - b) for a, b in zip(own, without, strict=True)) > 0


def test_good_parts_have_evidence_around_0() -> None:
    net, _, _, found = _fitted()
    assert found[:60, 0].abs().mean() < 1.5
    assert bool((net.scale > 0).all())
