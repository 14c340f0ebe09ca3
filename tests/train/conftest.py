"""The parts of one tiny training, fitted once: trunk, reader, held-out scores and the graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from onnx import ModelProto

from sightline.core.sample import TRAIN
from sightline.data.dataset import Dataset
from sightline.models.backbone import backbone
from sightline.models.memory import MemoryReader
from sightline.train.graph import recipe_model
from sightline.train.intake import InputSize, Intake, Part, accept
from sightline.train.patches import Maps
from sightline.train.reader import HeldOut, fit_reader
from sightline.train.settings import TrainSettings
from sightline.train.trunk import OnnxTrunk, TorchTrunk, trunk_onnx

SETTINGS = TrainSettings(side_px=112, bank_size=256, sample_patches=4000, threads=1, synthetic=8, coarse_weight=1.0)
SIZE = InputSize(96, 128, 1.0)


class Fitted(NamedTuple):
    """What `fit_reader` was given and gave."""

    trunk: OnnxTrunk
    parts: list[Part]
    reader: MemoryReader
    held_out: HeldOut
    stages: list[tuple[str, int, int]]


@pytest.fixture(scope="session")
def good_parts(parts: Dataset) -> list[Part]:
    return accept([s for s in parts if s.split == TRAIN and s.defective is False], by_unit=False)


@pytest.fixture(scope="session")
def onnx_trunk() -> OnnxTrunk:
    return OnnxTrunk("lite0", threads=1)


@pytest.fixture(scope="session")
def torch_trunk() -> TorchTrunk:
    return TorchTrunk("lite0")


@pytest.fixture(scope="session")
def fitted(good_parts: list[Part], onnx_trunk: OnnxTrunk) -> Fitted:
    stages: list[tuple[str, int, int]] = []
    intake = Intake(good_parts, SIZE, SETTINGS.roi)
    found = fit_reader(Maps(onnx_trunk, backbone("lite0")), intake, SETTINGS, lambda *stage: stages.append(stage))
    return Fitted(onnx_trunk, good_parts, found.reader, found.held_out, stages)


@pytest.fixture(scope="session")
def graph(fitted: Fitted) -> ModelProto:
    scores = fitted.held_out.scores.astype(np.float32)
    return recipe_model(trunk_onnx("lite0"), fitted.reader, scores, (SIZE.height, SIZE.width), "stride_32")
