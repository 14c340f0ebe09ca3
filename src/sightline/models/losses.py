"""Losses for rare defects: classes of unequal counts, several types on one part, small marks, ordered grades.

Each is written in logarithms, so that values and gradients stay finite at any finite logits. Half precision (float16,
bfloat16) is widened to float32 first; a loss has the widened type. `LOSSES` holds those that can stand in for one
another: `(logits (N, K), labels (N,), counts (K,)) -> loss ()`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sightline.core.errors import InputError

MIN_GAP = 1e-3  # between neighbouring thresholds of grades, in logits


def plain_cross_entropy(logits: Tensor, labels: Tensor, counts: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of logits (N, K) and labels (N,) int, for comparison; `counts` are not looked at."""
    logits = _checked(logits, labels)
    return F.cross_entropy(logits, labels)


def effective_weights(counts: Tensor, beta: float = 0.999) -> Tensor:
    """Class weights (K,) float32 by the effective number of examples, with a mean of 1, from counts (K,), each above 0.

    Proportional to (1 - beta) / (1 - beta ** count): all equal at `beta` 0, towards 1 / count as it nears 1 (Cui et
    al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019). Raises InputError.
    """
    if not 0 <= beta < 1:
        raise InputError(f"beta {beta} is out of range. Give a number from 0 up to, but not including, 1")
    counts = _positive(counts, "count")
    lasting = torch.log(torch.tensor(beta, dtype=torch.float64, device=counts.device))
    weights = -1 / torch.expm1(counts * lasting)
    return (weights / weights.mean()).float()


def balanced_cross_entropy(logits: Tensor, labels: Tensor, counts: Tensor, beta: float = 0.999) -> Tensor:
    """Cross-entropy of logits (N, K) and labels (N,) int, each example with its class's weight: the mean over N.

    `counts` (K,) are the training examples of each class; see `effective_weights`, which gives the source and the
    meaning of `beta`. Raises InputError for other shapes, labels outside 0..K-1, or counts of 0.
    """
    logits = _checked(logits, labels)
    weights = effective_weights(_fits(counts, logits), beta).to(logits)
    return (weights[labels] * F.cross_entropy(logits, labels, reduction="none")).mean()


def logit_adjusted_cross_entropy(logits: Tensor, labels: Tensor, priors: Tensor, tau: float = 1.0) -> Tensor:
    """Cross-entropy of logits (N, K) + tau * log(priors) and labels (N,) int: the mean over N.

    `priors` (K,) are the classes' shares or counts; their scale does not matter. The bare logits then rank classes as
    if all were equally frequent; `tau` 0 is plain cross-entropy (Menon et al., Long-tail Learning via Logit
    Adjustment, ICLR 2021). Raises InputError for other shapes, labels outside 0..K-1, or priors that are not above 0.
    """
    logits = _checked(logits, labels)
    priors = _positive(_fits(priors, logits), "prior")
    return F.cross_entropy(logits + (tau * torch.log(priors / priors.sum())).to(logits), labels)


def focal_loss(logits: Tensor, labels: Tensor, counts: Tensor | None = None, gamma: float = 2.0) -> Tensor:
    """Cross-entropy of logits (N, K) and labels (N,) int times (1 - p) ** gamma, p the label's softmax: mean over N.

    What is told well already counts little (Lin et al., Focal Loss for Dense Object Detection, ICCV 2017). With
    `counts` (K,) each example has its class's `effective_weights`, too. `gamma` 0 without counts is plain
    cross-entropy. Raises InputError as `balanced_cross_entropy`, and for `gamma` below 0.
    """
    logits = _checked(logits, labels)
    if gamma < 0:
        raise InputError(f"gamma {gamma} is below 0. Give 0 for plain cross-entropy, or a number above")
    log_p = F.log_softmax(logits, 1)
    own = F.one_hot(labels, logits.shape[1]).bool()
    log_rest = log_p.masked_fill(own, -torch.inf).logsumexp(1)  # log(1 - p), exact also where p rounds to 1
    losses = -torch.exp(gamma * log_rest) * log_p[own]
    if counts is not None:
        losses = losses * effective_weights(_fits(counts, logits)).to(logits)[labels]
    return losses.mean()


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "plain": plain_cross_entropy,
    "balanced": balanced_cross_entropy,
    "adjusted": logit_adjusted_cross_entropy,
    "focal": focal_loss,
}


def asymmetric_loss(
    logits: Tensor, truth: Tensor, gamma_positive: float = 0.0, gamma_negative: float = 4.0, margin: float = 0.05
) -> Tensor:
    """Binary loss of logits (N, K) and truth (N, K) of 0 and 1, several types on one part: the mean over all entries.

    What a part has counts as -(1 - p) ** gamma_positive * log(p), what it has not as -q ** gamma_negative * log(1 - q)
    with q = max(p - margin, 0): the many easy absences do not drown the few presences, and absences below the margin
    count nothing (Ridnik et al., Asymmetric Loss for Multi-Label Classification, ICCV 2021, where the sum is taken).
    With both gammas and the margin 0 it is binary cross-entropy. Raises InputError for other shapes or settings.
    """
    logits = _wide(logits)
    if logits.ndim != 2 or truth.shape != logits.shape:
        raise InputError(
            f"logits {tuple(logits.shape)} and truth {tuple(truth.shape)} must have one shape (N, K). "
            "Give one column per defect type"
        )
    if min(gamma_positive, gamma_negative) < 0 or not 0 <= margin < 1:
        raise InputError("the gammas must be 0 or more and the margin from 0 to below 1. Correct the loss's settings")
    truth = truth.to(logits)
    if ((truth < 0) | (truth > 1)).any():
        raise InputError("truth must lie from 0 (absent) to 1 (present). Leave out parts that nobody has labelled")
    present, absent = F.logsigmoid(logits), F.logsigmoid(-logits)
    easy = torch.log(torch.tensor(margin, dtype=logits.dtype, device=logits.device))
    without = torch.logaddexp(absent, easy).clamp_max(0)  # log(1 - q)
    q = (logits.sigmoid() - margin).clamp_min(torch.finfo(logits.dtype).tiny)  # with a gradient at any power
    positive = torch.exp(gamma_positive * absent) * present
    losses = -truth * positive - (1 - truth) * q.pow(gamma_negative) * without
    return losses.sum() / max(1, losses.numel())


def ordered_thresholds(raw: Tensor) -> Tensor:
    """Thresholds (G - 1,), each above the one before, from free numbers (G - 1,): a first, then softplus steps."""
    raw = _wide(raw)
    return torch.cat([raw[:1], raw[:1] + _gaps(raw).cumsum(0)])


def cumulative_link_loss(quality: Tensor, raw: Tensor, grades: Tensor) -> Tensor:
    """Mean negative log-probability of the grades (N,) int, 0..G-1, given a part's quality (N,), larger is worse.

    P(grade <= k) = sigmoid(threshold k - quality) with the `ordered_thresholds` of `raw` (G - 1,), which is learned
    together with what gives the quality: proportional odds (McCullagh, Regression Models for Ordinal Data, JRSS B
    1980). With two grades it is binary cross-entropy. Raises InputError for other shapes or grades outside 0..G-1.
    """
    if quality.ndim != 1 or raw.ndim != 1 or not len(raw):
        raise InputError(
            f"quality {tuple(quality.shape)} must be (N,) and raw {tuple(raw.shape)} (G - 1,). "
            "Give one number per part and one per step between grades"
        )
    return F.nll_loss(_checked(_link(quality, raw), grades), grades)


def _link(quality: Tensor, raw: Tensor) -> Tensor:
    """Log-probabilities of grades (N, G).

    sigmoid(b) - sigmoid(a) = sigmoid(b) * sigmoid(-a) * (1 - exp(a - b)), so nothing is subtracted but the thresholds.
    """
    quality, raw = _wide(quality), _wide(raw)
    beyond = ordered_thresholds(raw) - quality[:, None]
    nought = beyond.new_zeros((len(beyond), 1))
    between = torch.log(-torch.expm1(-_gaps(raw)))
    inner = torch.cat([between.new_zeros(1), between, between.new_zeros(1)])
    return torch.cat([F.logsigmoid(beyond), nought], 1) + torch.cat([nought, F.logsigmoid(-beyond)], 1) + inner


def _gaps(raw: Tensor) -> Tensor:
    """Distances between neighbouring thresholds (G - 2,), above 0."""
    return F.softplus(raw[1:]) + MIN_GAP


def _wide(values: Tensor) -> Tensor:
    """At least float32: exponentials and sums of many cells are not for half precision."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def _checked(logits: Tensor, labels: Tensor, columns: int = 0) -> Tensor:
    """The logits, widened; labels may count up to `columns` more than there are columns."""
    if logits.ndim != 2 or labels.shape != (len(logits),) or not logits.numel():
        raise InputError(
            f"logits {tuple(logits.shape)} must be (N, K) and labels {tuple(labels.shape)} (N,), N and K above 0. "
            "Give one row and one label per part"
        )
    if labels.dtype.is_floating_point or labels.dtype == torch.bool:
        raise InputError(f"labels are {labels.dtype}. Give the numbers of the classes as int64")
    low, high, most = int(labels.min()), int(labels.max()), logits.shape[1] + columns - 1
    if low < 0 or high > most:
        raise InputError(
            f"labels from {low} to {high} do not fit 0 to {most}. Number them so, and leave out unlabelled parts"
        )
    return _wide(logits)


def _fits(counts: Tensor, logits: Tensor) -> Tensor:
    if counts.shape != logits.shape[1:]:
        raise InputError(
            f"there are {tuple(counts.shape)} counts or priors for {logits.shape[1]} classes. Give one per class"
        )
    return counts


def _positive(values: Tensor, name: str) -> Tensor:
    values = values.double()
    if values.ndim != 1 or not bool(((values > 0) & values.isfinite()).all()):
        raise InputError(f"every class's {name} must be above 0. Leave out classes without examples, or count one")
    return values
