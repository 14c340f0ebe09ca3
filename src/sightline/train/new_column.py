"""One more column of logits: what a new type's examples have that the recipe's kept parts have not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from sightline.core.card import Bounded, Card
from sightline.evaluate.bounds import rate
from sightline.train.new_evidence import NewEvidence
from sightline.train.replay import CLASSES, FEATURES, LOGITS

BORNE = 0.02  # of the kept parts that the new type may take, as a mean over their classes
MARGIN = 0.01  # logits below the point at which one more part changes sides
PENALTY = 1.0  # of the weights' squared norm: what five examples teach beside the evidence is little


@dataclass(frozen=True)
class Kept:
    """Standardised features (R, F) and logits (R, K + 1) of the recipe's own parts, and their classes."""

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    spoken: NDArray[np.float32]  # (R,), what evidence says of the new type
    classes: NDArray[np.bool_]

    def said(self, column: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (R,) of the new type."""
        return np.asarray(self.features @ column[:-1] + column[-1] + self.spoken)


@dataclass(frozen=True)
class Example:
    """Standardised features (V, F), logits (V, K + 1) and evidence for the new type (V,) of one example's views."""

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    spoken: NDArray[np.float32]

    def said(self, column: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (V,) of the new type."""
        return np.asarray(self.features @ column[:-1] + column[-1] + self.spoken)


Column = NDArray[np.float32]  # weights (F + 1,) of standardised features, the bias last, beside the evidence


def feature_moments(numbers: dict[str, NDArray[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and spread of the pooled features that the recipe kept."""
    pooled = numbers[FEATURES][:, : len(numbers["known_whole_weights"])].astype(np.float32)
    return pooled.mean(0), pooled.std(0) + 1e-2 * pooled.std()


def standardised(
    features: NDArray[np.float32], mean: NDArray[np.float32], spread: NDArray[np.float32]
) -> NDArray[np.float32]:
    return np.asarray((features[:, : len(mean)] - mean) / spread)


def kept_parts(
    numbers: dict[str, NDArray[Any]],
    mean: NDArray[np.float32],
    spread: NDArray[np.float32],
    evidence: NewEvidence | None,
) -> Kept:
    features = numbers[FEATURES].astype(np.float32)
    if LOGITS in numbers:
        logits = numbers[LOGITS]
    else:  # older recipes: what they say is these two
        pooled, top = features[:, : len(mean)], features[:, len(mean) :]
        logits = pooled @ numbers["known_whole_weights"] + numbers["known_whole_bias"]
        logits = logits + top @ numbers["known_hottest_weights"]
    spoken = np.zeros(len(features), np.float32) if evidence is None else evidence.kept.numpy()
    return Kept(standardised(features, mean, spread), logits, spoken, numbers[CLASSES].astype(bool))


def fit_column(kept: Kept, examples: Sequence[Example], exclusive: bool) -> Column:
    """A logistic regression against the kept parts' features, beside the evidence; every class counts the same."""
    features = torch.from_numpy(np.concatenate([kept.features, *(x.features for x in examples)]))
    old = torch.from_numpy(np.concatenate([kept.logits, *(x.logits for x in examples)]))
    spoken = torch.from_numpy(np.concatenate([kept.spoken, *(x.spoken for x in examples)]))
    new = torch.zeros(len(features))
    new[len(kept.features) :] = 1
    counts = kept.classes.sum(0).clip(1)
    share = [*(1 / counts[kept.classes.argmax(1)]), *([1 / (len(features) - len(kept.features))] * int(new.sum()))]
    weight = torch.tensor(np.array(share, np.float32))
    truth = torch.from_numpy(np.append(kept.classes.argmax(1), np.full(int(new.sum()), old.shape[1])))
    column = torch.zeros(features.shape[1] + 1, requires_grad=True)
    solver = torch.optim.LBFGS([column], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        said = features @ column[:-1] + column[-1] + spoken
        each = (
            F.cross_entropy(torch.cat([old, said[:, None]], 1), truth, reduction="none")
            if exclusive
            else F.binary_cross_entropy_with_logits(said, new, reduction="none")
        )
        total = (weight * each).sum() / weight.sum() + PENALTY * column[:-1].square().sum()
        total.backward()
        return total

    solver.step(loss)
    return _bounded(np.asarray(column.detach().numpy(), np.float32), kept, exclusive)


def _bounded(column: Column, kept: Kept, exclusive: bool) -> Column:
    """The column with a bias so low that it takes no more of the kept parts than their classes bear."""
    rival = kept.logits.max(1) if exclusive else np.zeros(len(kept.logits))
    room = rival - kept.said(column)
    if exclusive:  # a part that is called wrongly already is no loss
        room = np.where(kept.classes[np.arange(len(room)), kept.logits.argmax(1)], room, np.inf)
    share = (kept.classes / kept.classes.sum(0).clip(1)).sum(1) / max(1, int(kept.classes.any(0).sum()))
    order = np.argsort(room, kind="stable")
    beyond = order[np.cumsum(share[order]) > BORNE]
    excess = max(0.0, MARGIN - float(room[beyond[0]])) if len(beyond) else 0.0
    return np.append(column[:-1], np.float32(column[-1] - excess))


def recalls(kept: Kept, column: NDArray[np.float32] | None, card: Card) -> dict[str, Bounded]:
    """Of the kept parts of each class, how many are called it."""
    logits = kept.logits if column is None else np.column_stack([kept.logits, kept.said(column)])
    said = logits.argmax(1)
    return {
        name: rate(int((said[kept.classes[:, index]] == index).sum()), int(kept.classes[:, index].sum()))
        for index, name in enumerate(("good", *card.types))
        if kept.classes[:, index].any()
    }


def left_out(kept: Kept, examples: Sequence[Example], exclusive: bool) -> Bounded:
    """Each example against a column that was fitted on the others."""
    right = 0
    for index, x in enumerate(examples):
        column = fit_column(kept, [*examples[:index], *examples[index + 1 :]], exclusive)
        right += float(x.said(column)[0]) > (float(x.logits[0].max()) if exclusive else 0.0)
    return rate(right, len(examples))
