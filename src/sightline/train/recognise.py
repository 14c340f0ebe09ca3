"""Learning to recognise known defects on the frozen trunk: a plain loop over labelled parts; grades are solved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.models.recogniser import Recogniser
from sightline.train.copies import make_copies
from sightline.train.evidence import fit_evidence
from sightline.train.kept_maps import KeptMaps
from sightline.train.labelled import Labelled
from sightline.train.labels import Vocabulary
from sightline.train.likeness import fit_grades
from sightline.train.made_defects import make_defects
from sightline.train.objective import objective
from sightline.train.patches import Progress
from sightline.train.settings import TrainSettings

LEAST_STEPS = 200  # a handful of parts is seen often, thousands a dozen times
EPOCHS = {"quick": 5, "normal": 12, "max": 30}
GOOD_SHARE = 8  # parts that count towards the steps, for each defective one
WEIGHT_DECAY = 1e-4
WARM_UP = 0.15  # of the steps
DROP = 0.3  # of the pooled features, at random
BALANCE = 0.5  # power of the class counts that parts are drawn by: 0 as they come, 1 every class equally often
ENOUGH = 10  # examples of a type from which on what was learned counts by half and more
MOST_MOMENTS = 512  # parts that means and spreads of features are taken from


def fit_recogniser(
    maps_of: KeptMaps, labelled: list[Labelled], words: Vocabulary, settings: TrainSettings, progress: Progress
) -> Recogniser:
    """A recogniser of the types and grades in `words`, learned from these parts, the trunk untouched.

    Made defects are learned from only where the settings say `always`: whether they help, `learn_known` finds out.
    """
    rng = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)
    net = _start(maps_of, labelled, words, settings)
    if words.types:  # else there are grades alone, which are solved, not learned step by step
        made = make_defects(labelled, words, rng) if settings.made_defects == "always" else []
        made += make_copies(labelled, settings.augment, settings.augment_without, rng)
        evident = fit_evidence(net, maps_of, labelled, settings.mirror, rng, made)
        _learn(net, maps_of, [*labelled, *made], evident, settings, rng, progress)
        _moderate(net, torch.from_numpy(_counts(labelled, len(words.types) + 1)[1:]).float())
    fit_grades(net.eval(), maps_of, labelled, settings.seed)
    return net


def _learn(
    net: Recogniser,
    maps_of: KeptMaps,
    labelled: Sequence[Labelled],
    evident: Tensor,
    settings: TrainSettings,
    rng: np.random.Generator,
    progress: Progress,
) -> None:
    counts = torch.from_numpy(_counts(labelled, net.classes.out_channels) ** (1 - BALANCE))
    steps, rate = _steps(labelled, settings), settings.recogniser_rate
    learned = [values for values in net.parameters() if values.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=WARM_UP)
    net.train()
    for step, chosen in enumerate(_draws(labelled, steps, settings.recogniser_batch, rng)):
        progress("learning known defects", step, steps)
        batch = [labelled[index] for index in chosen]
        mirrored = rng.random(len(batch)) < (0.5 if settings.mirror else 0.0)
        maps = maps_of.batch([(x.part.hash, x.image, bool(m)) for x, m in zip(batch, mirrored, strict=True)])
        said = net(maps, DROP, evident[torch.from_numpy(chosen), torch.from_numpy(mirrored.astype(int))])
        loss = objective(net, said, batch, mirrored, counts, settings.loss)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


@torch.no_grad()
def _moderate(net: Recogniser, examples: Tensor) -> None:
    """What was learned of a type counts by how many examples (K,) taught it, beside its evidence, which needs few."""
    share = (examples**3 / (examples**3 + ENOUGH**3))[:, None]
    for layer in (net.whole, net.hottest):
        good = layer.weight[:1] if net.exclusive else torch.zeros_like(layer.weight[:1])
        layer.weight[1:] = good + share * (layer.weight[1:] - good)
    good = net.whole.bias[:1] if net.exclusive else torch.zeros(1)
    net.whole.bias[1:] = good + share[:, 0] * (net.whole.bias[1:] - good)


def _steps(labelled: Sequence[Labelled], settings: TrainSettings) -> int:
    return max(LEAST_STEPS, EPOCHS[settings.effort] * pass_size(labelled) // settings.recogniser_batch)


def pass_size(labelled: Sequence[Labelled]) -> int:
    """Parts in one pass: all of them, but good parts beyond a few per defect need not come every time."""
    defects = sum(bool(x.part.sample.defective) for x in labelled)
    graded = sum(x.grade >= 0 for x in labelled)
    return min(len(labelled), max(GOOD_SHARE * defects, graded))


def _start(maps_of: KeptMaps, labelled: Sequence[Labelled], words: Vocabulary, settings: TrainSettings) -> Recogniser:
    """An untrained recogniser that knows the features' means and spreads."""
    spread = np.linspace(0, len(labelled) - 1, min(len(labelled), MOST_MOMENTS)).astype(int)
    found = [maps_of(labelled[i].part.hash, labelled[i].image, False) for i in spread]
    channels = tuple(found[0][name].shape[1] for name in maps_of.names)
    net = Recogniser(
        maps_of.names, channels, len(words.types), len(words.grades), words.exclusive, settings.recogniser_width
    )
    for name, standard in zip(maps_of.names, net.standards, strict=True):
        # Every eleventh cell: neighbours say the same.
        standard.fit(torch.cat([maps[name].float().flatten(2)[0, :, ::11].T for maps in found]))
    net.pooled.fit(torch.cat([net.describe({name: x.float() for name, x in maps.items()}) for maps in found]))
    return net


def _counts(labelled: Sequence[Labelled], classes: int) -> NDArray[np.float64]:
    """How many parts carry each class, at least a half."""
    said = [x.classes for x in labelled if x.classes is not None]
    return np.maximum(np.sum(said, axis=0, dtype=np.float64), 0.5) if said else np.ones(classes)


def _draws(
    labelled: Sequence[Labelled], steps: int, size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Indices (size,) of the parts of each batch."""
    classes = [None if x.classes is None else tuple(x.classes) for x in labelled]
    counts = {said: classes.count(said) for said in set(classes)}
    share = np.array([counts[said] ** -BALANCE for said in classes])
    share /= share.sum()
    for _ in range(steps):
        yield rng.choice(len(labelled), size, p=share)
