"""From labelled parts to a recipe on a fine-tuned backbone, or on the frozen one where that is no worse."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import transformers
from torch import nn

import sightline
from sightline.core.result import Verdict
from sightline.core.sample import Sample
from sightline.models.backbone import backbone
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.backbone.extractor import OnnxExtractor
from sightline.train.backbone.torch_extractor import TorchExtractor, export_backbone
from sightline.train.classify import classifier
from sightline.train.finetune import loop, selection
from sightline.train.finetune.selection import tuned_backbone
from sightline.train.finetune.validation import ValidationScore
from sightline.train.images.loader import TrainingWarning
from sightline.train.teach.teaching import teach

COLOURS = {"paint": (40, 60, 235), "stain": (230, 230, 20)}
SETTINGS = {
    "side_px": 64,
    "bank_size": 64,
    "sample_patches": 1000,
    "threads": 1,
    "synthetic": 0,
    "key_size": 8,
}
TUNING = {"backbone_training": "fine-tuned", "tune_epochs": 2, "tune_batch": 8, "align": "never"}
Train = Callable[..., Recipe]
pytestmark = pytest.mark.filterwarnings("ignore:an outlier")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, draw: Any, write: Any) -> list[Sample]:
    folder, found = tmp_path_factory.mktemp("tuned"), []
    for number, kind in enumerate([None] * 50 + ["paint"] * 10 + ["stain"] * 10):
        image, _ = draw(number, False, 64, 64)
        mask = np.zeros((64, 64), np.uint8)
        if kind is not None:
            place = tuple(int(x) for x in np.random.default_rng(number).integers(12, 52, 2))
            cv2.circle(image, place, 7, COLOURS[kind], -1)
            cv2.circle(mask, place, 7, 255, -1)
        path = write(folder / f"{number}.png", image)
        marked = None if kind is None else write(folder / f"{number}_mask.png", mask)
        found.append(Sample(path, kind is not None, () if kind is None else (kind,), mask=marked))
    return found


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(classifier, "MIN_STEPS", 20)
        patch.setattr(loop, "MIN_STEPS", 6)
        yield


@pytest.fixture(scope="module")
def lively(hub_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """As `hub_folder`, with weights that let something through: a random MobileViT says 1e-25 at most."""

    def folder(kind: str) -> Path:
        if kind != "mobilevit":
            return hub_folder(kind)
        torch.manual_seed(0)
        net = transformers.AutoModel.from_pretrained(hub_folder(kind)).train()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
                nn.init.ones_(module.weight)
        net(torch.randn(8, 3, 64, 64))
        path = tmp_path_factory.mktemp("lively") / kind
        net.save_pretrained(path)
        return path

    return folder


@pytest.fixture(scope="module")
def tuned(quick: None, samples: list[Sample], lively: Callable[[str], Path]) -> Callable[[str], Recipe]:
    """A recipe whose backbone was fine-tuned, by family; the frozen one is said to be worse."""
    made: dict[str, Recipe] = {}

    def recipe(kind: str) -> Recipe:
        if kind not in made:
            with pytest.MonkeyPatch.context() as patch:
                _judged(patch, [0.5, 0.75])
                made[kind] = sightline.train(samples, backbone=f"hf:{lively(kind)}", **SETTINGS, **TUNING)
        return made[kind]

    return recipe


def _judged(patch: pytest.MonkeyPatch, values: list[float]) -> list[list[str]]:
    """Let the judging parts say these figures, frozen first; who was asked."""
    left, asked = iter(values), []

    def figure(net: Any, parts: list[Any], counts: Any) -> ValidationScore:
        asked.append([x.part.hash for x in parts])
        return ValidationScore(next(left), 1.0, len(parts))

    rising = (
        ValidationScore(0.1 * epoch, 1.0, 14) for epoch in range(10)
    )  # a few steps of a random network may gain nothing
    patch.setattr(selection, "validation_score_of", figure)
    patch.setattr(loop, "validation_score_of", lambda net, parts, prior: next(rising))
    return asked


@pytest.mark.parametrize("kind", ["resnet", "vit", "mobilevit"])
def test_every_family_gets_through_the_gate_and_inspects(
    kind: str, tuned: Callable[[str], Recipe], samples: list[Sample]
) -> None:
    card = tuned(kind).card
    assert card.parity is not None and card.parity.max_relative_difference <= 1e-3 and card.parity.verdict_flips == 0
    found = card.provenance.tuning
    assert found is not None and found.epochs == 2 and 1 <= found.best_epoch <= 2
    assert (found.recall_frozen, found.recall, found.parts) == (0.5, 0.75, 14)
    assert card.choices["backbone"].startswith("fine-tuned: 2 epochs of fine-tuning")
    assert "on 14 others 0.750, frozen 0.500; the guard was not compared" in card.choices["backbone"]
    result = Inspector(tuned(kind), threads=1).inspect(samples[-1].path)
    assert result.verdict in Verdict and set(result.types) == {"paint", "stain"} and result.defect_share is not None


def test_thresholds_rest_on_parts_that_the_backbone_has_not_learned_from(
    tuned: Callable[[str], Recipe],
) -> None:
    card = tuned("resnet").card
    assert card.calibration.good == 20  # two folds of five, of 50
    assert card.calibration.defective == 8  # of 20
    assert card.recognition is not None
    assert {name: bound.of for name, bound in card.recognition.held_out.items()} == {"paint": 2, "stain": 2}
    assert len(card.trained_on) == 70


def test_the_graph_has_other_weights_than_the_frozen_backbone(
    tuned: Callable[[str], Recipe], samples: list[Sample], hub_folder: Callable[[str], Path]
) -> None:
    plain = sightline.train(samples, backbone=f"hf:{hub_folder('resnet')}", **SETTINGS, classify=False, align="never")
    image = samples[0].path
    one, other = (Inspector(recipe, threads=1).inspect(image).embedding for recipe in (plain, tuned("resnet")))
    assert one is not None and other is not None and not np.allclose(one, other, rtol=1e-4)


def test_a_fine_tuned_recipe_can_be_taught(
    tuned: Callable[[str], Recipe], draw: Any, write: Any, tmp_path: Path
) -> None:
    paths = []
    for number in range(4):
        image, _ = draw(700 + number, False, 64, 64)
        image[:, :14] = (30, 200, 30)
        paths.append(write(tmp_path / f"{number}.png", image))
    taught = teach(tuned("resnet"), "bar", paths)
    assert taught.recipe.card.types == ("paint", "stain", "bar")
    assert taught.recipe.card.provenance.tuning == tuned("resnet").card.provenance.tuning
    assert Inspector(taught.recipe, threads=1).inspect(paths[0]).types["bar"] > 0.3


def test_the_frozen_backbone_stays_where_it_is_no_worse(
    quick: None, samples: list[Sample], hub_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _judged(monkeypatch, [0.8, 0.8])
    name = f"hf:{hub_folder('resnet')}"
    recipe = sightline.train(samples, backbone=name, **SETTINGS, **TUNING)
    assert recipe.card.choices["backbone"].startswith("frozen: fine-tuned is no better; 2 epochs")
    assert recipe.card.provenance.tuning is None
    assert recipe.card.calibration.good == 50
    assert asked[0] == asked[1] and len(asked[0]) == 14


def test_the_frozen_backbone_stays_where_the_guard_would_lose(
    quick: None, samples: list[Sample], hub_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _judged(monkeypatch, [0.5, 0.9])
    real, merits = selection.fit_anomaly_head, iter([0.9, 0.85])
    monkeypatch.setattr(
        selection, "fit_anomaly_head", lambda *given: replace(real(*given), validation_score=next(merits))
    )
    settings = {**SETTINGS, "synthetic": 2}
    recipe = sightline.train(samples, backbone=f"hf:{hub_folder('resnet')}", **settings, **TUNING)
    assert recipe.card.provenance.tuning is None
    assert recipe.card.choices["backbone"].startswith("frozen: the guard would lose")
    assert "synthetic defects 0.850, frozen 0.900" in recipe.card.choices["backbone"]


def test_without_labels_or_with_few_parts_the_backbone_stays_frozen(
    quick: None, samples: list[Sample], hub_folder: Callable[[str], Path]
) -> None:
    name = f"hf:{hub_folder('resnet')}"
    with pytest.warns(TrainingWarning, match="stays frozen: fine-tuning learns from defect types or grades"):
        recipe = sightline.train(samples[:12], backbone=name, **SETTINGS, **TUNING)
    assert recipe.card.choices["backbone"] == "frozen: no labels to fine-tune with"
    few = samples[:20] + samples[50:53] + samples[60:63]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        recipe = sightline.train(few, backbone=name, **SETTINGS, **TUNING)
    assert any("too few parts or groups to hold some out" in str(one.message) for one in told)
    assert recipe.card.choices["backbone"].startswith("frozen: too few parts")


def test_a_tuned_backbone_is_a_copy_told_by_its_weights(tiny: Any) -> None:
    net = tiny.source.load()
    first = tuned_backbone(tiny.source, net)
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    before = TorchExtractor(first)(image)["stride_8"]
    with torch.no_grad():
        net.blocks[1].weight += 0.1
    second = tuned_backbone(tiny.source, net)
    assert len({tiny.source.identity, first.identity, second.identity}) == 3
    assert np.array_equal(TorchExtractor(first)(image)["stride_8"], before)
    assert not np.array_equal(TorchExtractor(second)(image)["stride_8"], before)
    assert backbone(second) is second
    assert not any(parameter.requires_grad for parameter in second.load().parameters())
    exported = OnnxExtractor(second, 1, export_backbone(second, (32, 32)))
    assert np.allclose(exported(image)["stride_8"], TorchExtractor(second)(image)["stride_8"], atol=1e-4)
