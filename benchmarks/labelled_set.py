"""A labelled set, opened as `sightline train` opens it. Used by labels.py and finetune.py."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sightline.core.sample import Sample
from sightline.data.dataset import Dataset
from sightline.models.backbone import Backbone, backbone
from sightline.train.backbone.cache import CachedMaps
from sightline.train.backbone.extractor import FeatureExtractor, open_extractor
from sightline.train.images.loader import ImageLoader, accept
from sightline.train.labels.sampling import grouped_folds
from sightline.train.labels.targets import Labelled, LabelMap, label_parts, types_of, vocabulary
from sightline.train.plans import offer_plans
from sightline.train.settings import TrainSettings

DATA = Path(os.environ.get("SIGHTLINE_DATA", Path(__file__).parents[2] / "shared" / "data"))
FOLDS = 5


class LabelledSet(NamedTuple):
    """A set's parts with their labels, what they are called, and five folds by group."""

    settings: TrainSettings
    words: LabelMap
    source: Backbone
    extractor: FeatureExtractor
    maps_of: CachedMaps  # the backbone's maps, each part seen once
    loader: ImageLoader
    labelled: list[Labelled]
    truth: list[str]  # the grade of each part, as text, where parts are graded; otherwise its first type or "good"
    units: list[str]
    fold: np.ndarray  # int64[len(labelled)]


def open_set(name: str, settings: TrainSettings) -> LabelledSet:
    """The set at DATA / name, not aligned: labels alone are judged, stretched where its images vary in shape."""
    parts = accept(list(Dataset.open(DATA / name, split=False)))
    plans, _ = offer_plans(parts, settings.model_copy(update={"align": "never"}))
    size, source = plans[-1].size, backbone(settings.backbone)
    words, extractor = vocabulary(parts), open_extractor(settings.backbone, settings.threads)
    loader = ImageLoader(parts, size, settings.roi)
    grid = extractor(np.zeros((1, size.height, size.width, 3), np.uint8))[source.maps[0]].shape[2:]
    labelled = label_parts([loader], words, tuple(grid))
    truth = [usual_class(x.part.sample, graded=bool(words.grades)) for x in labelled]
    units = [str(x.part.unit) for x in labelled]
    fold = grouped_folds(truth, units, FOLDS, 0)
    return LabelledSet(
        settings, words, source, extractor, CachedMaps(extractor, source), loader, labelled, truth, units, fold
    )  # fmt: skip


def usual_class(sample: Sample, *, graded: bool = False) -> str:
    """What a part counts as where folds are dealt."""
    return str(sample.grade) if graded else next(iter(types_of(sample)), "good")
