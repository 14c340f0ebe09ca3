"""Evidence for a type that is taught later: a discriminant of its examples' strangest cells against kept good ones."""

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

from sightline.models.memory import top_count
from sightline.models.recogniser import CLEAR, EPS, EVIDENT, TRUST
from sightline.train.evidence import STRANGEST, strangeness
from sightline.train.replay import CELLS, CENTRE, CLASSES, INVERSE, SCALE

Numbers = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class NewEvidence:
    """A type's direction (F,) on standardised features, and `usual` and `spread` of its hottest cells in good parts.

    `kept` (R,) is what it says of the kept parts in logits; `shown` of each example's views (V,), learned without it.
    """

    direction: Tensor
    usual: float
    spread: float
    kept: Tensor
    shown: list[Tensor]


class Examples:
    """Cells of the examples' views, each (P, F) in standardised features, with what they say of the new type."""

    def __init__(self, numbers: Numbers, views: Sequence[Sequence[Tensor]]) -> None:
        self._centre = torch.from_numpy(numbers[CENTRE].astype(np.float32))
        self._inverse = torch.from_numpy(numbers[INVERSE].astype(np.float32))
        self._kept = torch.from_numpy(numbers[CELLS].astype(np.float32))
        self._good = torch.from_numpy(numbers[CLASSES][:, 0].astype(bool))
        self._numbers, self._views = numbers, views
        self._rows = [torch.stack([self._row(cells) for cells in one]).mean(0) for one in views]

    def evidence(self) -> NewEvidence:
        """The direction from all examples; what it says of each comes from the others."""
        direction = torch.stack(self._rows).mean(0)
        usual, spread, kept = self._against(direction)
        shown = []
        for index, views in enumerate(self._views):
            others = torch.stack(self._rows[:index] + self._rows[index + 1 :]).mean(0)
            own_usual, own_spread, _ = self._against(others)
            hot = torch.stack([self._hottest((cells @ others)[None])[0] for cells in views])
            shown.append(_logit(hot, own_usual, own_spread))
        return NewEvidence(direction, float(usual), float(spread), _logit(kept, usual, spread), shown)

    def kept(self) -> Numbers:
        """The kept cells with those of the examples, as they are."""
        count = self._numbers[CELLS].shape[1]
        chosen = [strangeness(one[0], self._centre, self._inverse).topk(count).indices for one in self._views]
        cells = [one[0][index].numpy() for one, index in zip(self._views, chosen, strict=True)]
        return {CELLS: np.concatenate([self._numbers[CELLS], np.array(cells, np.float16)])}

    def _row(self, cells: Tensor) -> Tensor:
        """One view's own direction: nobody has marked the defect, so its strangest cells stand in."""
        chosen = strangeness(cells, self._centre, self._inverse).topk(top_count(STRANGEST, len(cells))).indices
        return self._inverse @ (cells[chosen].mean(0) - self._centre)

    def _against(self, direction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kept = self._hottest(self._kept @ direction)
        good = kept[self._good] if self._good.any() else kept
        return good.mean(), good.std(correction=0).clamp_min(EPS + 1e-2 * kept.std(correction=0)), kept

    def _hottest(self, said: Tensor) -> Tensor:
        """Means of the hottest cells (N,) of (N, P); of kept parts only the strangest are known."""
        cells = len(self._views[0][0])
        return said.topk(min(top_count(EVIDENT[0], cells), said.shape[1]), dim=1).values.mean(1)


def has_evidence(numbers: Numbers) -> bool:
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
    mean, spread = torch.tensor(numbers[SCALE])
    return (torch.cat(ready, 1).flatten(2)[0].T - mean) / spread


def widened(numbers: Numbers, evidence: NewEvidence) -> Numbers:
    """The recipe's constants of evidence with one more type."""
    channels = [numbers[f"known_{i}_evidence"].shape[1] for i in range(_levels(numbers))]
    mean, spread = numbers[SCALE]
    raw = evidence.direction.numpy() / spread
    changed: Numbers = {}
    for i, part in enumerate(np.split(raw, np.cumsum(channels)[:-1])):
        name = f"known_{i}_evidence"
        changed[name] = np.concatenate([numbers[name], part[None, :, None, None]])
    types = len(numbers["known_quiet"]) - 1
    shares = len(numbers["known_spots_usual"]) // types
    usual = np.full(shares, evidence.usual + float(mean @ raw))
    columns = (("known_spots_usual", usual), ("known_spots_spread", np.full(shares, evidence.spread)))
    for name, column in columns:
        changed[name] = np.column_stack([numbers[name].reshape(shares, types), column]).reshape(-1)
    trust = np.zeros((shares, types + 1, types + 2))
    trust[:, :types, : types + 1] = numbers["known_trust"].reshape(shares, types, types + 1)
    trust[0, types, types + 1] = TRUST
    changed["known_trust"] = trust.reshape(shares * (types + 1), types + 2)
    changed["known_quiet"] = np.append(numbers["known_quiet"], -CLEAR * TRUST)
    changed["known_spots_flat"] = numbers["known_spots_flat"] + np.array([0, 1, 0])
    return changed


def _levels(numbers: Numbers) -> int:
    return sum(name.endswith("_evidence") for name in numbers)


def _logit(hot: Tensor, usual: Tensor, spread: Tensor) -> Tensor:
    return TRUST * (torch.asinh((hot - usual) / spread) - CLEAR)
