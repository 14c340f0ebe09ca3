"""One step: smaller pieces where memory is short, the same gradient, and no step from numbers that are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sightline.core.errors import TrainingError
from sightline.models.boxes import BoxHead
from sightline.train.intake import TrainingWarning
from sightline.train.labelled import Labelled
from sightline.train.settings import TrainSettings
from sightline.train.tuning import step
from sightline.train.tuning.whole import Whole

ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
}
PRIOR = torch.ones(3)


class Narrow(Whole):
    """A network that has memory for `most` images at a time."""

    most, error, sizes = 1, ERRORS["cpu"], ()

    def maps(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        self.sizes = (*self.sizes, len(images))
        if len(images) > self.most:
            raise self.error
        return super().maps(images)


@pytest.fixture
def narrow(tiny: Any, settings: TrainSettings) -> tuple[Narrow, torch.optim.Optimizer]:
    net = Narrow(tiny.source, tiny.heads)
    return net, torch.optim.SGD(net.groups((32, 32), settings), lr=0.01)


@pytest.mark.parametrize("kind", sorted(ERRORS))
def test_short_memory_halves_the_pieces_and_goes_on(
    kind: str, narrow: tuple[Narrow, torch.optim.Optimizer], parts_of: Callable[..., list[Labelled]]
) -> None:
    net, optimiser = narrow
    net.most, net.error, net.sizes = 3, ERRORS[kind], ()
    with pytest.warns(TrainingWarning, match="memory is short: batches of 8 are read in pieces") as told:
        loss, pieces = step.learn_from(net, optimiser, parts_of(8), PRIOR, 0, 1)
    assert pieces == 4 and loss > 0
    assert net.sizes == (8, 4, 2, 2, 2, 2)
    assert [str(one.message)[-8:] for one in told] == ["4 images", "2 images"]
    net.sizes = ()
    assert step.learn_from(net, optimiser, parts_of(8), PRIOR, 1, pieces)[1] == 4  # and stays so, without a word
    assert net.sizes == (2, 2, 2, 2)


def test_pieces_learn_the_same(
    tiny: Any, settings: TrainSettings, parts_of: Callable[..., list[Labelled]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "DROP", 0.0)
    found = []
    for pieces in (1, 2):
        net = Whole(tiny.source, tiny.heads)
        optimiser = torch.optim.SGD(net.groups((32, 32), settings), lr=0.01)
        loss, _ = step.learn_from(net, optimiser, parts_of(6) + parts_of(6), PRIOR, 0, pieces)
        found.append((loss, torch.cat([p.detach().flatten() for p in net.learning.values()])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-5)


def test_not_even_one_image_fits(
    narrow: tuple[Narrow, torch.optim.Optimizer], parts_of: Callable[..., list[Labelled]]
) -> None:
    net, optimiser = narrow
    net.most = 0
    with pytest.warns(TrainingWarning), pytest.raises(TrainingError, match=r"even with one image.*Lower side_px"):
        step.learn_from(net, optimiser, parts_of(3), PRIOR, 0, 1)


def test_other_errors_are_not_taken_for_memory(
    narrow: tuple[Narrow, torch.optim.Optimizer], parts_of: Callable[..., list[Labelled]]
) -> None:
    net, optimiser = narrow
    net.most, net.error = 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1"):
        step.learn_from(net, optimiser, parts_of(3), PRIOR, 0, 1)


def test_a_gradient_that_is_no_number_changes_nothing(
    tiny: Any, settings: TrainSettings, parts_of: Callable[..., list[Labelled]]
) -> None:
    net = Whole(tiny.source, tiny.heads)
    optimiser = torch.optim.SGD(net.groups((32, 32), settings), lr=0.01)
    before = [p.detach().clone() for p in net.learning.values()]
    net.heads.mix.weight.register_hook(lambda gradient: gradient * float("nan"))
    loss, _ = step.learn_from(net, optimiser, parts_of(4), PRIOR, 0, 1)
    assert loss != loss
    assert all(torch.equal(a, b) for a, b in zip(before, net.learning.values(), strict=True))


def test_boxes_teach_the_trunk_where_they_are_known(
    tiny: Any, settings: TrainSettings, boxed: Callable[..., list[Labelled]], parts_of: Callable[..., list[Labelled]]
) -> None:
    """Parts without a word about boxes add nothing to what a box head is taught, and cost nothing."""
    gradients = []
    for parts in (parts_of(4), boxed(4), boxed(4)[:2] + parts_of(4)[2:]):
        net = Whole(tiny.source, tiny.heads, BoxHead(tiny.source.maps, (8, 16), 2, 4, 8))
        optimiser = torch.optim.SGD(net.groups((32, 32), settings), lr=0.0)
        step.learn_from(net, optimiser, parts, PRIOR, 0, 1)
        assert net.boxes is not None
        layer = net.boxes.types.weight.grad
        gradients.append((layer is not None, net.trunk.net.blocks[0].weight.grad.clone()))
    assert [found for found, _ in gradients] == [False, True, True]
    assert not torch.allclose(gradients[0][1], gradients[1][1])
