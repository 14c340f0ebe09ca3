"""One step of learning: the gradient of a batch, in as many pieces as memory asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import Tensor

from sightline.core.errors import TrainingError
from sightline.core.progress import Progress
from sightline.models.backbone import Backbone
from sightline.models.classifier import Classifier
from sightline.models.detector import BoxHead
from sightline.train.classify.classifier import DROP, objective, pass_size
from sightline.train.classify.detector import box_loss, labelled_boxes
from sightline.train.finetune.batches import Views
from sightline.train.finetune.checkpoint import Checkpoint, State, run_key
from sightline.train.finetune.network import Anchors, Average, JointNetwork, as_batch, put, rate_at
from sightline.train.finetune.validation import ValidationScore, validation_score_of
from sightline.train.images.loader import warn
from sightline.train.labels.targets import Labelled
from sightline.train.settings import TrainSettings

MAX_NORM = 5.0  # of the gradient
FULL = ("can't allocate memory", "out of memory", "not enough memory")


def learn_from(
    net: JointNetwork,
    optimiser: torch.optim.Optimizer,
    batch: Sequence[Labelled],
    counts: Tensor,
    seed: int,
    pieces: int,
    loss_name: str = "adjusted",
) -> tuple[float, int]:
    """Step by the batch's gradient; its loss, and the number of pieces that it was read in.

    Where memory is short, the batch is read in twice as many pieces, whose gradients are summed: what is learned
    stays nearly the same. With a loss or gradient that is not a number nothing is changed. Raises TrainingError where
    not even single images fit.
    """
    while True:
        try:
            loss = _gradient(net, optimiser, batch, counts, seed, pieces, loss_name)
            norm = torch.nn.utils.clip_grad_norm_(net.parameters(), MAX_NORM)
            if np.isfinite(loss) and not bool(norm.isfinite()):
                loss = float(norm)
            if np.isfinite(loss):
                optimiser.step()
            return loss, pieces
        except RuntimeError as error:  # torch.OutOfMemoryError is one; a CPU has no error of its own
            if not isinstance(error, torch.OutOfMemoryError) and not any(text in str(error) for text in FULL):
                raise
            if pieces >= len(batch):
                raise TrainingError(
                    "fine-tuning does not fit into memory even with one image at a time. "
                    "Lower side_px or tune_depth, or choose a smaller backbone"
                ) from error
        pieces = min(len(batch), 2 * pieces)
        size = -(-len(batch) // pieces)
        warn(f"memory is short: batches of {len(batch)} are read in pieces of {size} image{'s' * (size > 1)}")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _gradient(
    net: JointNetwork,
    optimiser: torch.optim.Optimizer,
    batch: Sequence[Labelled],
    counts: Tensor,
    seed: int,
    pieces: int,
    loss_name: str,
) -> float:
    """The gradient of the batch's mean loss, left in the parameters; the loss itself."""
    torch.manual_seed(seed)
    optimiser.zero_grad()
    net.heads.train()
    total, size = 0.0, -(-len(batch) // pieces)
    for start in range(0, len(batch), size):
        piece = list(batch[start : start + size])
        maps = net.maps(as_batch([x.image for x in piece], counts.device))
        predicted = net.heads(maps, DROP, net.recalled(piece))
        loss = objective(net.heads, predicted, piece, np.zeros(len(piece), bool), counts, loss_name)
        loss = loss + _boxes(net, maps, piece)
        loss = loss * (len(piece) / len(batch))
        loss.backward()
        total += float(loss.detach())
    return total


def _boxes(net: JointNetwork, maps: dict[str, Tensor], piece: Sequence[Labelled]) -> Tensor | float:
    """The loss of the boxes, of those parts whose boxes are known."""
    boxed = [index for index, x in enumerate(piece) if x.boxes is not None]
    if net.boxes is None or not boxed:
        return 0.0
    predicted = net.boxes({name: values[boxed] for name, values in maps.items()})
    return box_loss(net.boxes, predicted, [labelled_boxes(piece[index]) for index in boxed])


# Learning with the backbone: a plain loop over parts in other looks, until held-out groups gain no more.

EPOCHS = {"quick": 4, "normal": 12, "max": 30}
MIN_STEPS = 200  # a handful of parts is seen often
PATIENCE = 4  # epochs without a better figure


@dataclass
class Course:
    """Where a run stands: steps done, pieces a batch is read in, the best figure, its epoch, and all figures."""

    step: int = 0
    pieces: int = 1
    best_epoch: int = 0
    figures: list[tuple[float, float, int, float]] = field(default_factory=list)

    @property
    def best(self) -> ValidationScore:
        """The figure of the epoch that is kept."""
        return ValidationScore(*self.figures[self.best_epoch])

    def tired(self, steps: int) -> bool:
        """Whether too many epochs have passed without a better figure.

        Those of the first half of the steps do not count: while the rate is high, even a good run is mostly worse
        than its start, and it gains when the rate falls.
        """
        passed = len(self.figures) - 1
        half = -(-passed * steps // (2 * max(self.step, 1)))  # of the steps, in epochs
        return passed - max(self.best_epoch, half) > PATIENCE

    def judged(self, figure: ValidationScore) -> bool:
        """Note an epoch's figure; whether it is the best so far.

        Of the epochs whose value lies within one standard error of the highest, that with the lowest loss is: a few
        rare parts make most of the value, and the loss hears all of them (the one-standard-error rule: L. Breiman et
        al., "Classification and Regression Trees", 1984, section 3.4.3).
        """
        self.figures.append((figure.value, figure.loss, figure.parts, figure.error))
        if len(self.figures) == 1:
            return True
        highest, _, _, error = max(self.figures, key=lambda one: (one[0], -one[1]))
        best, enough = self.best, highest - error
        better = figure.value >= enough and (figure.loss < best.loss or best.value < enough)
        self.best_epoch = len(self.figures) - 1 if better else self.best_epoch
        return better


@dataclass
class Run:
    """What learns, what it learns with, and how far it is."""

    net: JointNetwork
    optimiser: torch.optim.Optimizer
    anchors: Anchors
    average: Average
    best: dict[str, Tensor]
    course: Course

    @classmethod
    def start(cls, net: JointNetwork, size: tuple[int, int], settings: TrainSettings) -> Run:
        """A run that has not learned yet, on the fastest device, for inputs of `size` (H, W)."""
        net.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        net.heads.kernel_ordinal = (
            None  # known parts move as the backbone learns: the linear head does, and it is found anew
        )
        optimiser = torch.optim.AdamW(net.groups(size, settings), weight_decay=0.0)
        return cls(net, optimiser, Anchors(net), Average(net), put(net, net.learning), Course())

    def state(self) -> State:
        """All that a run needs to go on, the same to the last bit."""
        learning = {name: parameter.detach() for name, parameter in self.net.learning.items()}
        saved = {"learning": learning, "average": self.average.weights, "best": self.best}
        return saved | {"optimiser": self.optimiser.state_dict(), "course": asdict(self.course)}

    def go_on(self, state: State) -> None:
        """Take the state of a run that was stopped."""
        put(self.net, state["learning"])
        for name, values in self.average.weights.items():
            values.copy_(state["average"][name])
            self.best[name] = state["best"][name].to(values.device)
        self.optimiser.load_state_dict(state["optimiser"])
        self.course = Course(**state["course"])

    def begin(self, state: State | None, stopping: Sequence[Labelled], counts: Tensor) -> Course:
        """Go on with a state, or judge what there is before learning; where the run stands then."""
        if state is None:
            self.judge(stopping, counts)
        else:
            self.go_on(state)
        return self.course

    def set_rates(self, share: float) -> float:
        """Every layer's learning rate, `share` of its highest."""
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * share
        return share

    def judge(self, stopping: Sequence[Labelled], counts: Tensor) -> None:
        """An epoch's figure, of the averaged weights; the best ones are kept."""
        learning = put(self.net, self.average.weights)
        if self.course.judged(validation_score_of(self.net, stopping, counts)):
            self.best = {name: values.clone() for name, values in self.average.weights.items()}
        put(self.net, learning)


def fine_tune(
    source: Backbone,
    heads: Classifier,
    learned_from: list[Labelled],
    stopping: Sequence[Labelled],
    settings: TrainSettings,
    progress: Progress,
    evident: dict[str, Tensor] | None = None,
    boxes: BoxHead | None = None,
) -> tuple[JointNetwork, Course]:
    """The backbone and the heads that were fitted on it (`JointNetwork`) after learning; and how it went. Raises
    TrainingError.

    The weights are those of the epoch that calls `stopping`, parts of other groups, best; epoch 0 is before learning.
    A run that was stopped goes on where it was last saved.
    """
    net, views = JointNetwork(source, heads, boxes, evident), Views(learned_from, settings)
    run = Run.start(net, learned_from[0].image.shape[:2], settings)
    counts = views.counts(heads.classes.out_channels).to(next(net.parameters()).device)
    checkpoint = Checkpoint(run_key(source, (heads, boxes), (learned_from, stopping), settings))
    epoch, steps = lengths(learned_from, settings)
    course = run.begin(checkpoint.load(), stopping, counts)
    for batch in views.batches(course.step):
        if course.step == steps or course.tired(steps):
            break
        progress("fine-tuning", course.step, steps)
        share = run.set_rates(rate_at(course.step, steps))
        seed = settings.seed + course.step
        loss, course.pieces = learn_from(net, run.optimiser, batch, counts, seed, course.pieces, settings.loss)
        if not np.isfinite(loss):
            path = checkpoint.save_batch(batch, course.step, loss)
            raise TrainingError(
                f"fine-tuning stopped: the loss is {loss} at step {course.step}. Its images and labels are in {path}. "
                "Look at them, correct what is wrong, or lower tune_rate"
            )
        run.anchors.pull(net, share)
        course.step += 1
        run.average.update(net, course.step)
        if course.step % epoch == 0:
            run.judge(stopping, counts)
        if checkpoint.due():
            checkpoint.save(run.state())
    checkpoint.save(run.state())
    put(net, run.best)
    return net.eval(), course


def lengths(learned_from: list[Labelled], settings: TrainSettings) -> tuple[int, int]:
    """Steps of an epoch, and of all epochs."""
    epochs = settings.tune_epochs or EPOCHS[settings.effort]
    epoch = max(-(-MIN_STEPS // epochs), pass_size(learned_from) // settings.tune_batch)
    return epoch, epochs * epoch
