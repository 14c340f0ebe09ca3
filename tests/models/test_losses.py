"""Losses for rare defects: equal to what a loop computes, plain cross-entropy in their limits, finite everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sightline.core.errors import InputError
from sightline.models.losses import (
    LOSSES,
    MIN_GAP,
    asymmetric_loss,
    balanced_cross_entropy,
    cumulative_link_loss,
    effective_weights,
    focal_loss,
    logit_adjusted_cross_entropy,
    ordered_thresholds,
)

COUNTS = torch.tensor([900.0, 60.0, 3.0])
LABELS = torch.tensor([0, 0, 1, 2, 2])


def _logits(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 2, shape))


def _softmax(row: list[float]) -> list[float]:
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def test_effective_weights_are_those_of_the_formula() -> None:
    by_hand = [(1 - 0.99) / (1 - 0.99**count) for count in (900, 60, 3)]
    mean = sum(by_hand) / 3
    assert effective_weights(COUNTS, 0.99).tolist() == pytest.approx([weight / mean for weight in by_hand], rel=1e-6)


def test_effective_weights_go_from_equal_to_the_inverse_of_counts() -> None:
    assert effective_weights(COUNTS, 0).tolist() == pytest.approx([1, 1, 1])
    near_one = effective_weights(COUNTS, 1 - 1e-9)
    assert (near_one[2] / near_one[0]).item() == pytest.approx(300, rel=1e-3)


def test_balanced_cross_entropy_by_hand() -> None:
    logits, weights = _logits(5, 3), effective_weights(COUNTS).tolist()
    by_hand = [
        -weights[label] * math.log(_softmax(row)[label])
        for row, label in zip(logits.tolist(), LABELS.tolist(), strict=True)
    ]
    assert balanced_cross_entropy(logits, LABELS, COUNTS).item() == pytest.approx(sum(by_hand) / 5, rel=1e-6)


def test_logit_adjusted_cross_entropy_by_hand() -> None:
    logits, tau = _logits(5, 3), 1.5
    by_hand = []
    for row, label in zip(logits.tolist(), LABELS.tolist(), strict=True):
        weighted = [math.exp(x) * (n / 963) ** tau for x, n in zip(row, COUNTS.tolist(), strict=True)]
        by_hand.append(-math.log(weighted[label] / sum(weighted)))
    found = logit_adjusted_cross_entropy(logits, LABELS, COUNTS / COUNTS.sum(), tau)
    assert found.item() == pytest.approx(sum(by_hand) / 5, rel=1e-6)
    assert found.item() == pytest.approx(logit_adjusted_cross_entropy(logits, LABELS, COUNTS, tau).item(), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_by_hand(gamma: float) -> None:
    logits = _logits(5, 3)
    own = [_softmax(row)[label] for row, label in zip(logits.tolist(), LABELS.tolist(), strict=True)]
    by_hand = sum(-((1 - p) ** gamma) * math.log(p) for p in own) / 5
    assert focal_loss(logits, LABELS, gamma=gamma).item() == pytest.approx(by_hand, rel=1e-6)
    weights = effective_weights(COUNTS)[LABELS].tolist()
    weighted = sum(-w * (1 - p) ** gamma * math.log(p) for p, w in zip(own, weights, strict=True)) / 5
    assert focal_loss(logits, LABELS, COUNTS, gamma).item() == pytest.approx(weighted, rel=1e-6)


def test_all_become_plain_cross_entropy_in_their_limits() -> None:
    logits = _logits(5, 3)
    plain = F.cross_entropy(logits, LABELS).item()
    limits = [
        LOSSES["plain"](logits, LABELS, COUNTS),
        balanced_cross_entropy(logits, LABELS, COUNTS, beta=0),
        logit_adjusted_cross_entropy(logits, LABELS, COUNTS, tau=0),
        focal_loss(logits, LABELS, gamma=0),
        *(LOSSES[name](logits, LABELS, torch.ones(3)) for name in ("balanced", "adjusted")),
    ]
    assert [loss.item() for loss in limits] == pytest.approx([plain] * 6, rel=1e-9)


def test_a_rare_class_counts_more_than_a_frequent_one() -> None:
    logits = torch.zeros(2, 3)
    for name in ("balanced", "adjusted", "focal"):
        rare, often = (LOSSES[name](logits, torch.tensor([label, label]), COUNTS).item() for label in (2, 0))
        assert rare > 2 * often, name


def _asymmetric(logits: Tensor, truth: Tensor, plus: float, minus: float, margin: float) -> list[float]:
    losses = []
    for x, there in zip(logits.flatten().tolist(), truth.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        q = max(p - margin, 0)
        losses.append(-((1 - p) ** plus) * math.log(p) if there else -(q**minus) * math.log(1 - q))
    return losses


TRUTH = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]])


@pytest.mark.parametrize(("plus", "minus", "margin"), [(0, 4, 0.05), (1, 2, 0), (0.5, 0.5, 0.2)])
def test_asymmetric_loss_by_hand(plus: float, minus: float, margin: float) -> None:
    logits = _logits(4, 3)
    by_hand = _asymmetric(logits, TRUTH, plus, minus, margin)
    assert asymmetric_loss(logits, TRUTH, plus, minus, margin).item() == pytest.approx(sum(by_hand) / 12)


def test_asymmetric_loss_without_asymmetry_is_binary_cross_entropy() -> None:
    logits = _logits(4, 3)
    plain = F.binary_cross_entropy_with_logits(logits, TRUTH.double()).item()
    assert asymmetric_loss(logits, TRUTH, 0, 0, 0).item() == pytest.approx(plain, rel=1e-9)


GRADES = torch.tensor([0, 3, 1, 2, 2])


def test_thresholds_stay_ordered() -> None:
    for seed in range(20):
        thresholds = ordered_thresholds(20 * _logits(6, seed=seed))
        assert (thresholds.diff() > 0).all()
    assert ordered_thresholds(torch.tensor([0.5])).tolist() == [0.5]


def test_cumulative_link_loss_by_hand() -> None:
    quality, raw = _logits(5), _logits(3, seed=1)
    free = raw.tolist()
    steps = [free[0]]
    for value in free[1:]:
        steps.append(steps[-1] + math.log1p(math.exp(value)) + MIN_GAP)
    edges = [-math.inf, *steps, math.inf]
    losses = []
    for q, grade in zip(quality.tolist(), GRADES.tolist(), strict=True):
        below, above = (1 / (1 + math.exp(q - edge)) if edge > -math.inf else 0.0 for edge in edges[grade : grade + 2])
        losses.append(-math.log(above - below))
    assert cumulative_link_loss(quality, raw, GRADES).item() == pytest.approx(sum(losses) / 5)
    every = [cumulative_link_loss(quality[:1], raw, torch.tensor([grade])).item() for grade in range(4)]
    assert sum(math.exp(-loss) for loss in every) == pytest.approx(1)


def test_two_grades_are_binary_cross_entropy() -> None:
    logits, grades = _logits(5), torch.tensor([0, 1, 1, 0, 1])
    plain = F.binary_cross_entropy_with_logits(logits, grades.double()).item()
    shifted = cumulative_link_loss(logits + 0.7, torch.tensor([0.7]).double(), grades)
    assert shifted.item() == pytest.approx(plain)


CASES: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: lambda x, loss=loss: loss(x, LABELS, COUNTS) for name, loss in LOSSES.items()},
    "focal, flat": lambda x: focal_loss(x, LABELS, gamma=0.5),
    "asymmetric": lambda x: asymmetric_loss(x, (torch.arange(15).reshape(5, 3) % 2)),
    "asymmetric, flat": lambda x: asymmetric_loss(x, (torch.arange(15).reshape(5, 3) % 2), 0.5, 0.5, 0.0),
    "link": lambda x: cumulative_link_loss(x[:, 0], x[0], GRADES),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1.0, 90.0, 1e4, 1e30])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_finite_at_extreme_logits(name: str, size: float, dtype: torch.dtype) -> None:
    for seed in range(4):
        signs = torch.sign(_logits(5, 3, seed=seed))
        logits = (size * signs).to(dtype).requires_grad_()
        loss = CASES[name](logits)
        loss.backward()
        assert loss.dtype == torch.float32 and loss.ndim == 0 and loss.isfinite() and loss >= -1e-6
        assert logits.grad is not None and logits.grad.dtype == dtype and logits.grad.isfinite().all()


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_small_differences(name: str) -> None:
    assert torch.autograd.gradcheck(CASES[name], (_logits(5, 3).requires_grad_(),))


@pytest.mark.parametrize("name", LOSSES)
def test_wrong_shapes_and_labels_are_named(name: str) -> None:
    loss = LOSSES[name]
    with pytest.raises(InputError, match="one label per part"):
        loss(_logits(5, 3), LABELS[:4], COUNTS)
    with pytest.raises(InputError, match="one label per part"):
        loss(_logits(5), LABELS, COUNTS)
    with pytest.raises(InputError, match="from 0 to 3 do not fit 0 to 2"):
        loss(_logits(5, 3), LABELS + torch.tensor([0, 0, 0, 0, 1]), COUNTS)
    with pytest.raises(InputError, match="unlabelled"):
        loss(_logits(5, 3), LABELS - 1, COUNTS)
    with pytest.raises(InputError, match="int64"):
        loss(_logits(5, 3), LABELS.float(), COUNTS)
    if name != "plain":
        with pytest.raises(InputError, match="one per class"):
            loss(_logits(5, 3), LABELS, COUNTS[:2])
        with pytest.raises(InputError, match="above 0"):
            loss(_logits(5, 3), LABELS, COUNTS * torch.tensor([1, 0, 1]))


def test_settings_out_of_range_are_named() -> None:
    for call, message in (
        (lambda: effective_weights(COUNTS, 1.0), "beta"),
        (lambda: focal_loss(_logits(5, 3), LABELS, gamma=-1), "gamma"),
        (lambda: asymmetric_loss(_logits(4, 3), TRUTH, margin=1), "margin"),
        (lambda: asymmetric_loss(_logits(4, 3), TRUTH[:2]), "one shape"),
        (lambda: asymmetric_loss(_logits(4, 3), TRUTH * 2), "from 0"),
        (lambda: cumulative_link_loss(_logits(5), _logits(2), GRADES), "do not fit 0 to 2"),
        (lambda: cumulative_link_loss(_logits(5, 1), _logits(2), GRADES), "one number per part"),
    ):
        with pytest.raises(InputError, match=message):
            call()
