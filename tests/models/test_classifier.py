"""The classifier: shapes, ordered grades, and what its parts promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sightline.models.classifier import Classifier, KernelOrdinal, Standardised, alike, hottest


def _maps(count: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "stride_4": torch.randn(count, 6, 16, 24, generator=generator),
        "stride_8": torch.randn(count, 8, 8, 12, generator=generator),
        "stride_16": torch.randn(count, 10, 4, 6, generator=generator),
    }


def _net(types: int = 3, grades: int = 4, exclusive: bool = True) -> Classifier:
    torch.manual_seed(1)
    return Classifier(("stride_4", "stride_8", "stride_16"), (6, 8, 10), types, grades, exclusive, 16).eval()


def test_shapes() -> None:
    predicted = _net()(_maps())
    assert predicted.types.shape == (2, 4)
    assert predicted.class_map.shape == (2, 4, 16, 24)
    assert predicted.quality is not None and predicted.quality.shape == (2,)


def test_without_grades_nothing_is_said_about_quality() -> None:
    assert _net(grades=0)(_maps()).quality is None


def test_a_batch_is_read_like_single_images() -> None:
    net, maps = _net(), _maps(3)
    together = net(maps)
    for index in range(3):
        alone = net({name: values[index : index + 1] for name, values in maps.items()})
        assert torch.allclose(alone.types[0], together.types[index], atol=1e-5)
        assert torch.allclose(alone.class_map[0], together.class_map[index], atol=1e-5)


def test_exclusive_types_are_measured_against_good() -> None:
    logits = torch.tensor([[1.0, 3.0, 0.0, -2.0]])
    net = _net()
    net.temperature = torch.tensor(2.0)
    assert net.type_logits(logits).tolist() == [[1.0, -0.5, -1.5]]
    alone = _net(exclusive=False)
    assert alone.type_logits(logits).tolist() == [[3.0, 0.0, -2.0]]


def test_thresholds_are_in_order_whatever_was_learned() -> None:
    net = _net(grades=5)
    with torch.no_grad():
        net.steps.copy_(torch.tensor([0.3, -20.0, 4.0, -1.0]))
    assert (net.thresholds.diff() >= 0).all()


def test_the_expected_grade_rises_with_the_quality_and_stays_in_range() -> None:
    net = _net(grades=4)
    with torch.inference_mode():
        grades = net.grade(torch.linspace(-50, 50, 101))
    assert (grades.diff() >= 0).all()
    assert float(grades[0]) == pytest.approx(0, abs=1e-4)
    assert float(grades[-1]) == pytest.approx(3, abs=1e-4)


def test_the_hottest_cells_are_those_of_each_class() -> None:
    class_map = torch.zeros(1, 2, 20, 20)
    class_map[0, 0, 3, 4], class_map[0, 1, 7, 7] = 8.0, 2.0
    found = hottest(class_map)[0]
    assert found[:2].tolist() == [4.0, 1.0]  # two cells of 400
    assert found[2:].tolist() == pytest.approx([8 / 40, 2 / 40])


def test_standardised_features_have_mean_0_and_spread_1() -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(3, 5, (500, 4)).astype(np.float32))
    standard = Standardised(4)
    standard.fit(values)
    ready = standard(values)
    assert torch.allclose(ready.mean(0), torch.zeros(4), atol=1e-4)
    assert torch.allclose(ready.std(0), torch.ones(4), atol=1e-2)
    assert torch.allclose(standard(values[:6].T.reshape(1, 4, 2, 3))[0, :, 0, 0], ready[0])


def test_features_that_never_vary_do_not_divide_by_zero() -> None:
    standard = Standardised(3)
    standard.fit(torch.ones(50, 3))
    assert standard(torch.ones(2, 3)).eq(0).all()
    assert standard(torch.full((2, 3), 2.0)).isfinite().all()


# Likeness to known parts: the kernel, written out, and its limits.


def test_the_kernel_is_that_of_the_distances() -> None:
    generator = torch.Generator().manual_seed(0)
    values, centres = torch.randn(5, 7, generator=generator), torch.randn(4, 7, generator=generator)
    expected = torch.exp(-0.3 * torch.cdist(values, centres).square())
    assert torch.allclose(alike(values, centres, 0.3), expected, atol=1e-6)
    assert torch.allclose(alike(centres, centres, 0.3).diagonal(), torch.ones(4), atol=1e-6)


def test_a_part_that_is_like_a_known_one_gets_what_that_says_and_a_stranger_nothing() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    head = KernelOrdinal(centres, torch.tensor([-2.0, 3.0]), torch.tensor([0.0]), 1.0)
    predicted = head(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 50.0]]))
    assert predicted.tolist() == pytest.approx([-2.0, 3.0, 0.0], abs=1e-6)
