"""One step: smaller pieces where memory is short, the same gradient, and no step from numbers that are none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sightline.core.errors import TrainingError
from sightline.models.detector import BoxHead
from sightline.train.finetune import checkpoint, loop, network
from sightline.train.finetune.loop import Course, fine_tune
from sightline.train.finetune.network import JointNetwork
from sightline.train.finetune.validation import ValidationScore
from sightline.train.images.loader import TrainingWarning
from sightline.train.labels.targets import Labelled
from sightline.train.settings import TrainSettings

ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
}
PRIOR = torch.ones(3)


class Narrow(JointNetwork):
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
        loss, pieces = loop.learn_from(net, optimiser, parts_of(8), PRIOR, 0, 1)
    assert pieces == 4 and loss > 0
    assert net.sizes == (8, 4, 2, 2, 2, 2)
    assert [str(one.message)[-8:] for one in told] == ["4 images", "2 images"]
    net.sizes = ()
    assert loop.learn_from(net, optimiser, parts_of(8), PRIOR, 1, pieces)[1] == 4  # and stays so, without a word
    assert net.sizes == (2, 2, 2, 2)


def test_pieces_learn_the_same(
    tiny: Any, settings: TrainSettings, parts_of: Callable[..., list[Labelled]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "DROP", 0.0)
    found = []
    for pieces in (1, 2):
        net = JointNetwork(tiny.source, tiny.heads)
        optimiser = torch.optim.SGD(net.groups((32, 32), settings), lr=0.01)
        loss, _ = loop.learn_from(net, optimiser, parts_of(6) + parts_of(6), PRIOR, 0, pieces)
        found.append((loss, torch.cat([p.detach().flatten() for p in net.learning.values()])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-5)


def test_not_even_one_image_fits(
    narrow: tuple[Narrow, torch.optim.Optimizer], parts_of: Callable[..., list[Labelled]]
) -> None:
    net, optimiser = narrow
    net.most = 0
    with pytest.warns(TrainingWarning), pytest.raises(TrainingError, match=r"even with one image.*Lower side_px"):
        loop.learn_from(net, optimiser, parts_of(3), PRIOR, 0, 1)


def test_other_errors_are_not_taken_for_memory(
    narrow: tuple[Narrow, torch.optim.Optimizer], parts_of: Callable[..., list[Labelled]]
) -> None:
    net, optimiser = narrow
    net.most, net.error = 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1"):
        loop.learn_from(net, optimiser, parts_of(3), PRIOR, 0, 1)


def test_a_gradient_that_is_no_number_changes_nothing(
    tiny: Any, settings: TrainSettings, parts_of: Callable[..., list[Labelled]]
) -> None:
    net = JointNetwork(tiny.source, tiny.heads)
    optimiser = torch.optim.SGD(net.groups((32, 32), settings), lr=0.01)
    before = [p.detach().clone() for p in net.learning.values()]
    net.heads.mix.weight.register_hook(lambda gradient: gradient * float("nan"))
    loss, _ = loop.learn_from(net, optimiser, parts_of(4), PRIOR, 0, 1)
    assert loss != loss
    assert all(torch.equal(a, b) for a, b in zip(before, net.learning.values(), strict=True))


def test_boxes_teach_the_backbone_where_they_are_known(
    tiny: Any, settings: TrainSettings, boxed: Callable[..., list[Labelled]], parts_of: Callable[..., list[Labelled]]
) -> None:
    """Parts without a word about boxes add nothing to what a box head is taught, and cost nothing."""
    gradients = []
    for parts in (parts_of(4), boxed(4), boxed(4)[:2] + parts_of(4)[2:]):
        net = JointNetwork(tiny.source, tiny.heads, BoxHead(tiny.source.maps, (8, 16), 2, 4, 8))
        optimiser = torch.optim.SGD(net.groups((32, 32), settings), lr=0.0)
        loop.learn_from(net, optimiser, parts, PRIOR, 0, 1)
        assert net.boxes is not None
        layer = net.boxes.types.weight.grad
        gradients.append((layer is not None, net.extractor.net.blocks[0].weight.grad.clone()))
    assert [found for found, _ in gradients] == [False, True, True]
    assert not torch.allclose(gradients[0][1], gradients[1][1])


# The loop: the same for a seed, the same after a kill, stopped in time, and held near where it began.

Quiet = Callable[[str, int, int], None]
Weights = Callable[[nn.Module], list[Tensor]]

KILLED = """
import os, runpy, signal, sys, torch
from sightline.train.finetune import checkpoint, loop
torch.set_num_threads(1)  # as in the run that goes on: sums of another number of threads differ in the last bit
tiny = runpy.run_path(sys.argv[1])
checkpoint.EVERY_S, loop.MIN_STEPS = 0.0, 12

def kill(stage, done, of):
    if done == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

parts = tiny["make_parts"](12), tiny["make_parts"](9, 600)
loop.fine_tune(tiny["tiny_backbone"](), tiny["tiny_heads"](), *parts, tiny["SETTINGS"], kill)
"""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _forget() -> None:
    """Remove the states of runs, which would be taken instead of learning again."""
    shutil.rmtree(Path(os.environ["SIGHTLINE_CACHE"], "tuning"))


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_seed_gives_the_same_weights(tiny: Any, settings: TrainSettings, quiet: Quiet, weights: Weights) -> None:
    first, course = fine_tune(*tiny, settings, quiet)
    _forget()
    again, _ = fine_tune(*tiny, settings, quiet)
    assert course.best_epoch > 0 and len(course.figures) == 5
    assert _same(weights(first), weights(again))
    other, _ = fine_tune(*tiny, settings.model_copy(update={"seed": 9}), quiet)
    assert not _same(weights(first), weights(other))


def test_a_finished_run_is_not_done_again(tiny: Any, settings: TrainSettings, quiet: Quiet, weights: Weights) -> None:
    first, course = fine_tune(*tiny, settings, quiet)
    steps: list[int] = []
    again, course_again = fine_tune(*tiny, settings, lambda stage, done, of: steps.append(done))
    assert not steps and course == course_again and _same(weights(first), weights(again))


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_killed_run_goes_on_as_if_nothing_had_been(
    tiny: Any, settings: TrainSettings, quiet: Quiet, weights: Weights
) -> None:
    whole_run, course = fine_tune(*tiny, settings, quiet)
    _forget()
    conftest = str(Path(__file__).with_name("conftest.py"))
    for step in ("5", "9"):  # within an epoch, and at another one's begin
        killed = subprocess.run([sys.executable, "-c", KILLED, conftest, step], check=False, capture_output=True)
        assert killed.returncode == -9, killed.stderr.decode()
    steps: list[int] = []
    resumed, course_after = fine_tune(*tiny, settings, lambda stage, done, of: steps.append(done))
    assert steps[0] == 9
    assert _same(weights(whole_run), weights(resumed))
    assert course == course_after


def test_an_interrupt_leaves_a_run_that_goes_on(
    tiny: Any, settings: TrainSettings, quiet: Quiet, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    whole_run, _ = fine_tune(*tiny, settings, quiet)
    _forget()

    def interrupt(stage: str, done: int, of: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(*tiny, settings, interrupt)
    resumed, _ = fine_tune(*tiny, settings, quiet)
    assert _same(weights(whole_run), weights(resumed))


def test_a_loss_that_is_no_number_stops_and_saves_its_batch(
    tiny: Any, settings: TrainSettings, quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, observed = loop.learn_from, []

    def broken(net: JointNetwork, optimiser: Any, batch: list[Labelled], *rest: Any) -> tuple[float, int]:
        observed.append(batch)
        return (float("nan"), 1) if len(observed) == 6 else real(net, optimiser, batch, *rest)

    monkeypatch.setattr(loop, "learn_from", broken)
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 5.*lower tune_rate") as told:
        fine_tune(*tiny, settings, quiet)
    (path,) = Path(os.environ["SIGHTLINE_CACHE"], "tuning").glob("*.npz")
    assert str(path) in str(told.value)
    with np.load(path) as saved:
        assert np.array_equal(saved["images"], np.stack([x.image for x in observed[5]]))
        assert list(saved["paths"]) == [str(x.part.sample.path) for x in observed[5]]
        assert np.array_equal(saved["classes"], np.array([x.classes for x in observed[5]]))
        assert saved["step"] == 5 and np.isnan(saved["loss"])


def test_a_damaged_mask_ends_in_that_error(tiny: Any, settings: TrainSettings, quiet: Quiet) -> None:
    for x in tiny.learning:
        x.cells[1:] = np.nan
    with pytest.raises(TrainingError, match="the loss is nan at step 0"):
        fine_tune(*tiny, settings, quiet)


def test_it_stops_when_held_out_parts_gain_no_more_and_keeps_the_best(
    tiny: Any, settings: TrainSettings, quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, asked, kept = iter([0.5, 0.6, 0.9, *[0.7] * 20]), [], []

    def figure(net: JointNetwork, parts: list[Labelled], counts: Tensor) -> ValidationScore:
        asked.append({x.part.hash for x in parts})
        kept.append([p.detach().clone() for p in net.learning.values()])
        return ValidationScore(next(values), 1.0, len(parts))

    monkeypatch.setattr(loop, "validation_score_of", figure)
    net, course = fine_tune(*tiny, settings.model_copy(update={"tune_epochs": 20}), quiet)
    assert course.best_epoch == 2 and len(course.figures) == 10 + 1 + loop.PATIENCE + 1  # half of the epochs are free
    assert course.best == ValidationScore(0.9, 1.0, 9)
    assert all(torch.equal(a, b) for a, b in zip(kept[2], net.learning.values(), strict=True))
    assert set.union(*asked) == {x.part.hash for x in tiny.stopping}


@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        ([(0.90, 0.5), (0.90, 0.4), (0.90, 0.4)], 1),  # as right: the surer one, and of equals the earlier
        ([(0.95, 0.5), (0.93, 0.3), (0.90, 0.1)], 1),  # a little less right is surer; much less right is worse
        ([(0.90, 0.2), (0.95, 0.5)], 1),  # much better: what was best is out of reach
        ([(0.92, 0.2), (0.95, 0.5), (0.93, 0.3)], 0),  # in reach of the highest, and still the surest
        ([(0.90, 0.2), (0.95, 0.5), (0.93, 0.3)], 2),
    ],
)
def test_within_what_chance_explains_the_loss_decides(epochs: list[tuple[float, float]], best: int) -> None:
    course = Course()
    predicted = [course.judged(ValidationScore(value, loss, 100, 0.03)) for value, loss in epochs]
    assert course.best_epoch == best and predicted[best] and not any(predicted[best + 1 :])


def test_it_does_not_stop_while_the_rate_is_high(
    tiny: Any, settings: TrainSettings, quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.9, *[0.5] * 11, 0.95, *[0.5] * 20])
    monkeypatch.setattr(
        loop, "validation_score_of", lambda net, parts, prior: ValidationScore(next(values), 1.0, len(parts))
    )
    _, course = fine_tune(*tiny, settings.model_copy(update={"tune_epochs": 20}), quiet)
    assert course.best_epoch == 12 and len(course.figures) == 12 + 1 + loop.PATIENCE + 1


def test_only_stopping_parts_say_when_to_stop_and_they_are_never_learned_from(
    tiny: Any, settings: TrainSettings, quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, units = loop.learn_from, set()

    def watched(net: JointNetwork, optimiser: Any, batch: list[Labelled], *rest: Any) -> tuple[float, int]:
        units.update(x.part.unit for x in batch)
        return real(net, optimiser, batch, *rest)

    monkeypatch.setattr(loop, "learn_from", watched)
    fine_tune(*tiny, settings, quiet)
    assert units == {x.part.unit for x in tiny.learning}
    assert not units & {x.part.unit for x in tiny.stopping}


def test_frozen_layers_and_norms_stay_and_the_others_stay_near(
    tiny: Any, settings: TrainSettings, quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = dict(tiny.source.load().named_parameters())

    def moved(pull: float, depth: float) -> dict[str, float]:
        monkeypatch.setattr(network, "PULL", pull)
        net, course = fine_tune(*tiny, settings.model_copy(update={"tune_depth": depth}), quiet)
        _forget()
        assert course.best_epoch > 0
        now = net.extractor.net.state_dict()
        assert float(now["stem.1.running_mean"].abs().sum()) == 0.0  # the norm's statistics are not learned
        return {name: float((now[name] - value).norm()) for name, value in start.items()}

    free, held = moved(0.0, 1.0), moved(0.2, 1.0)
    assert 0 < held["blocks.1.weight"] < 0.7 * free["blocks.1.weight"]
    assert free["stem.0.weight"] < free["blocks.1.weight"]
    last = moved(0.0, 0.3)
    assert last["stem.0.weight"] == last["blocks.0.weight"] == 0.0 < last["blocks.1.weight"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_learns_in_bfloat16(tiny: Any, settings: TrainSettings, quiet: Quiet) -> None:
    net, course = fine_tune(*tiny, settings, quiet)
    assert next(net.parameters()).is_cuda and course.best.value >= course.figures[0][0]
