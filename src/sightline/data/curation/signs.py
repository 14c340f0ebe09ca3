"""The signs of a set's images: what is kept of each after one look, a few kilobytes, whatever its size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.core.sample import Sample
from sightline.data.curation.quality import MEASURES
from sightline.runtime.image import Image

# Images (H, W, 3) uint8 of any size -> embeddings (N, E) float32.
Embed = Callable[[Sequence[Image]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Unread:
    """An image that cannot be read, and why."""

    name: str
    message: str


@dataclass(frozen=True)
class Signs:
    """Signs of N readable images, one row each, in the order of the set.

    `names` are unique. `digests` are the SHA-256 of the files' bytes, `hashes` (N, 2) uint64 the perceptual ones,
    `thumbs` (N, 64, 64) uint8 grey copies, `sizes` (N, 2) height and width in px, `measured` (N, 10) float32 in the
    order of `quality.MEASURES`, `embeddings` (N, E) float32, E = 0 where there was nothing to embed with.
    """

    samples: tuple[Sample, ...]
    names: tuple[str, ...]
    digests: tuple[str, ...]
    hashes: NDArray[np.uint64]
    thumbs: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    measured: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    unread: tuple[Unread, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def measure(self, name: str) -> NDArray[np.float32]:
        """One measure of every image (N,)."""
        return np.asarray(self.measured[:, MEASURES.index(name)], np.float32)

    @property
    def labels(self) -> list[str]:
        """The label of each image, see `label_of`; "" where nobody has said."""
        return [label_of(sample) for sample in self.samples]


GOOD, DEFECT, GRADE = "good", "defect", "grade "


def label_of(sample: Sample) -> str:
    """A label as one text: the types joined by ";", else the grade ("grade 2"), else good or defect; "" for none."""
    if sample.defective is None:
        return ""
    if sample.types:
        return ";".join(sorted(sample.types))
    if sample.grade is not None:
        return f"{GRADE}{sample.grade}"
    return DEFECT if sample.defective else GOOD
