"""One more column of logits: what a new type's examples have that the recipe's replayed parts have not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper
from torch import Tensor

from sightline.core.card import Bounded, Card
from sightline.evaluate.statistics.intervals import rate
from sightline.models.classifier import CLEAR, EPS, EVIDENT, TRUST
from sightline.models.memory_bank import top_count
from sightline.train.classify.lda import STRANGEST, strangeness
from sightline.train.teach.replay import CELLS, CENTRE, CLASSES, FEATURES, INVERSE, LOGITS, SCALE

BORNE = 0.02  # of the replayed parts that the new type may take, as a mean over their classes
MARGIN = 0.01  # logits below the point at which one more part changes sides
PENALTY = 1.0  # of the weights' squared norm: what five examples teach beside the evidence is little


@dataclass(frozen=True)
class Example:
    """Standardised features (V, F), logits (V, K + 1) and evidence for the new type (V,) of one example's views."""

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    lda: NDArray[np.float32]

    def predicted(self, column: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (V,) of the new type."""
        return np.asarray(self.features @ column[:-1] + column[-1] + self.lda)


@dataclass(frozen=True)
class ReplayedParts(Example):
    """The same of the recipe's own parts (R instead of V), and their classes (R, K + 1)."""

    classes: NDArray[np.bool_]


Column = NDArray[np.float32]  # weights (F + 1,) of standardised features, the bias last, beside the evidence


def feature_moments(numbers: dict[str, NDArray[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of the pooled features that the recipe kept."""
    pooled = numbers[FEATURES][:, : len(numbers["known_whole_weights"])].astype(np.float32)
    return pooled.mean(0), pooled.std(0) + 1e-2 * pooled.std()


def standardised(
    features: NDArray[np.float32], mean: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    return np.asarray((features[:, : len(mean)] - mean) / scale)


def replayed_parts(
    numbers: dict[str, NDArray[Any]],
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    lda: NewTypeLda | None,
) -> ReplayedParts:
    features = numbers[FEATURES].astype(np.float32)
    if LOGITS in numbers:
        logits = numbers[LOGITS]
    else:  # older recipes: what they say is these two
        pooled, top = features[:, : len(mean)], features[:, len(mean) :]
        logits = pooled @ numbers["known_whole_weights"] + numbers["known_whole_bias"]
        logits = logits + top @ numbers["known_hottest_weights"]
    found = np.zeros(len(features), np.float32) if lda is None else lda.replayed.numpy()
    return ReplayedParts(standardised(features, mean, scale), logits, found, numbers[CLASSES].astype(bool))


def fit_column(replayed: ReplayedParts, examples: Sequence[Example], exclusive: bool) -> Column:
    """A logistic regression against the replayed parts' features, beside the evidence; every class counts the same."""
    features = torch.from_numpy(np.concatenate([replayed.features, *(x.features for x in examples)]))
    old = torch.from_numpy(np.concatenate([replayed.logits, *(x.logits for x in examples)]))
    lda = torch.from_numpy(np.concatenate([replayed.lda, *(x.lda for x in examples)]))
    new = torch.zeros(len(features))
    new[len(replayed.features) :] = 1
    counts = replayed.classes.sum(0).clip(1)
    share = [
        *(1 / counts[replayed.classes.argmax(1)]),
        *([1 / (len(features) - len(replayed.features))] * int(new.sum())),
    ]
    weight = torch.tensor(np.array(share, np.float32))
    truth = torch.from_numpy(np.append(replayed.classes.argmax(1), np.full(int(new.sum()), old.shape[1])))
    column = torch.zeros(features.shape[1] + 1, requires_grad=True)
    solver = torch.optim.LBFGS([column], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        predicted = features @ column[:-1] + column[-1] + lda
        each = (
            F.cross_entropy(torch.cat([old, predicted[:, None]], 1), truth, reduction="none")
            if exclusive
            else F.binary_cross_entropy_with_logits(predicted, new, reduction="none")
        )
        total = (weight * each).sum() / weight.sum() + PENALTY * column[:-1].square().sum()
        total.backward()
        return total

    solver.step(loss)
    return _bounded(np.asarray(column.detach().numpy(), np.float32), replayed, exclusive)


def _bounded(column: Column, replayed: ReplayedParts, exclusive: bool) -> Column:
    """The column with a bias so low that it takes no more of the replayed parts than their classes bear."""
    rival = replayed.logits.max(1) if exclusive else np.zeros(len(replayed.logits))
    margin = rival - replayed.predicted(column)
    if exclusive:  # a part that is called wrongly already is no loss
        margin = np.where(replayed.classes[np.arange(len(margin)), replayed.logits.argmax(1)], margin, np.inf)
    share = (replayed.classes / replayed.classes.sum(0).clip(1)).sum(1) / max(1, int(replayed.classes.any(0).sum()))
    order = np.argsort(margin, kind="stable")
    beyond = order[np.cumsum(share[order]) > BORNE]
    excess = max(0.0, MARGIN - float(margin[beyond[0]])) if len(beyond) else 0.0
    return np.append(column[:-1], np.float32(column[-1] - excess))


def recalls(replayed: ReplayedParts, column: NDArray[np.float32] | None, card: Card) -> dict[str, Bounded]:
    """Of the replayed parts of each class, how many are called it."""
    logits = replayed.logits if column is None else np.column_stack([replayed.logits, replayed.predicted(column)])
    predicted = logits.argmax(1)
    return {
        name: rate(int((predicted[replayed.classes[:, index]] == index).sum()), int(replayed.classes[:, index].sum()))
        for index, name in enumerate(("good", *card.types))
        if replayed.classes[:, index].any()
    }


def left_out(replayed: ReplayedParts, examples: Sequence[Example], exclusive: bool) -> Bounded:
    """Each example against a column that was fitted on the others."""
    right = 0
    for index, x in enumerate(examples):
        column = fit_column(replayed, [*examples[:index], *examples[index + 1 :]], exclusive)
        right += float(x.predicted(column)[0]) > (float(x.logits[0].max()) if exclusive else 0.0)
    return rate(right, len(examples))


# Evidence for a type that is taught later: a discriminant of its examples' strangest cells against replayed good ones.

Numbers = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class NewTypeLda:
    """A type's direction (F,) on standardised features, and `default` and `scale` of its hottest cells in good parts.

    `replayed` (R,) is what it says of the replayed parts in logits; `examples` of each example's views (V,), learned
    without it.
    """

    direction: Tensor
    default: float
    scale: float
    replayed: Tensor
    examples: list[Tensor]


class Examples:
    """Cells of the examples' views, each (P, F) in standardised features, with what they say of the new type."""

    def __init__(self, numbers: Numbers, views: Sequence[Sequence[Tensor]]) -> None:
        self._centre = torch.from_numpy(numbers[CENTRE].astype(np.float32))
        self._inverse = torch.from_numpy(numbers[INVERSE].astype(np.float32))
        self._replayed = torch.from_numpy(numbers[CELLS].astype(np.float32))
        self._good = torch.from_numpy(numbers[CLASSES][:, 0].astype(bool))
        self._numbers, self._views = numbers, views
        self._rows = [torch.stack([self._row(cells) for cells in one]).mean(0) for one in views]

    def lda(self) -> NewTypeLda:
        """The direction from all examples; what it says of each comes from the others."""
        direction = torch.stack(self._rows).mean(0)
        default, scale, replayed = self._against(direction)
        examples = []
        for index, views in enumerate(self._views):
            others = torch.stack(self._rows[:index] + self._rows[index + 1 :]).mean(0)
            own_default, own_scale, _ = self._against(others)
            hot = torch.stack([self._hottest((cells @ others)[None])[0] for cells in views])
            examples.append(_logit(hot, own_default, own_scale))
        return NewTypeLda(direction, float(default), float(scale), _logit(replayed, default, scale), examples)

    def replayed(self) -> Numbers:
        """The replayed cells with those of the examples, as they are."""
        count = self._numbers[CELLS].shape[1]
        chosen = [strangeness(one[0], self._centre, self._inverse).topk(count).indices for one in self._views]
        cells = [one[0][index].numpy() for one, index in zip(self._views, chosen, strict=True)]
        return {CELLS: np.concatenate([self._numbers[CELLS], np.array(cells, np.float16)])}

    def _row(self, cells: Tensor) -> Tensor:
        """One view's own direction: nobody has marked the defect, so its strangest cells stand in."""
        chosen = strangeness(cells, self._centre, self._inverse).topk(top_count(STRANGEST, len(cells))).indices
        return self._inverse @ (cells[chosen].mean(0) - self._centre)

    def _against(self, direction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        replayed = self._hottest(self._replayed @ direction)
        good = replayed[self._good] if self._good.any() else replayed
        return good.mean(), good.std(correction=0).clamp_min(EPS + 1e-2 * replayed.std(correction=0)), replayed

    def _hottest(self, predicted: Tensor) -> Tensor:
        """Means of the hottest cells (N,) of (N, P); of replayed parts only the strangest are known."""
        cells = len(self._views[0][0])
        return predicted.topk(min(top_count(EVIDENT[0], cells), predicted.shape[1]), dim=1).values.mean(1)


def has_lda(numbers: Numbers) -> bool:
    """Whether a recipe keeps what evidence for a new type needs; older ones do not."""
    return {CELLS, SCALE, CENTRE, INVERSE, "known_trust"} <= numbers.keys()


def maps_named(model: ModelProto) -> list[str]:
    """The maps that evidence is read from, finest first; none in older recipes."""
    found = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Conv"}
    named = [found.get(f"known_{i}_direction") for i in range(len(found))]
    return [name for name in named if name is not None]


def replace_numbers(model: ModelProto, changed: Numbers) -> None:
    """Give initializers of a model new values, each of the type it has."""
    for tensor in model.graph.initializer:
        if tensor.name in changed:
            values = changed[tensor.name].astype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def cells_of(maps: Sequence[NDArray[np.float32]], numbers: Numbers) -> Tensor:
    """Standardised features (P, F) of one image's maps (1, C, h, w), on the grid of evidence."""
    base = maps[min(1, len(maps) - 1)]
    grid = base.shape[2], base.shape[3]
    ready = [F.interpolate(torch.tensor(x), size=grid, mode="bilinear", align_corners=False) for x in maps]
    mean, scale = torch.tensor(numbers[SCALE])
    return (torch.cat(ready, 1).flatten(2)[0].T - mean) / scale


def widened(numbers: Numbers, lda: NewTypeLda) -> Numbers:
    """The recipe's constants of evidence with one more type."""
    levels = sum(name.endswith("_evidence") for name in numbers)
    channels = [numbers[f"known_{i}_evidence"].shape[1] for i in range(levels)]
    mean, scale = numbers[SCALE]
    raw = lda.direction.numpy() / scale
    changed: Numbers = {}
    for i, part in enumerate(np.split(raw, np.cumsum(channels)[:-1])):
        name = f"known_{i}_evidence"
        changed[name] = np.concatenate([numbers[name], part[None, :, None, None]])
    types = len(numbers["known_quiet"]) - 1
    shares = len(numbers["known_spots_usual"]) // types
    default = np.full(shares, lda.default + float(mean @ raw))
    columns = (("known_spots_usual", default), ("known_spots_spread", np.full(shares, lda.scale)))
    for name, column in columns:
        changed[name] = np.column_stack([numbers[name].reshape(shares, types), column]).reshape(-1)
    trust = np.zeros((shares, types + 1, types + 2))
    trust[:, :types, : types + 1] = numbers["known_trust"].reshape(shares, types, types + 1)
    trust[0, types, types + 1] = TRUST
    changed["known_trust"] = trust.reshape(shares * (types + 1), types + 2)
    changed["known_quiet"] = np.append(numbers["known_quiet"], -CLEAR * TRUST)
    changed["known_spots_flat"] = numbers["known_spots_flat"] + np.array([0, 1, 0])
    return changed


def _logit(hot: Tensor, default: Tensor, scale: Tensor) -> Tensor:
    return TRUST * (torch.asinh((hot - default) / scale) - CLEAR)
