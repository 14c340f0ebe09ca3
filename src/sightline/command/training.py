"""`sightline train`: open the dataset, learn, save, and say what can be promised."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sightline.command.console import peak_rss_mb, progress
from sightline.core.card import Card


def train(
    data: Path, output: Path, settings: dict[str, object], test_fraction: float, train_good: int | None, quiet: bool
) -> tuple[dict[str, Any], Card]:
    """Train on a dataset's training part and save the recipe: figures for `--json`, and the card."""
    from sightline import train as learn
    from sightline.data.dataset import Dataset
    from sightline.runtime.recipe import check_writable
    from sightline.train.settings import TrainSettings

    parsed = TrainSettings.parse(settings)
    check_writable(output)
    start = time.perf_counter()
    dataset = Dataset.open(data, test_fraction, parsed.seed)
    if train_good is not None:
        dataset = dataset.with_train_good(train_good, parsed.seed)
    with progress(quiet) as report:
        recipe = learn(dataset.train, parsed, progress=report)
    recipe.save(output)
    card = recipe.card
    return {
        "recipe": str(output),
        "seconds": round(time.perf_counter() - start, 3),
        "images": len(card.trained_on),
        "width": card.width,
        "height": card.height,
        "bank": card.bank,
        "peak_rss_mb": peak_rss_mb(),
    }, card


def describe(figures: dict[str, Any], card: Card) -> str:
    """What a person wants to know after a training."""
    promises = "".join(f"\n  - {line}" for line in card.calibration.promises)
    limits = f"OK up to {card.band.low:.2f}, NG above {card.band.high:.2f}, REVIEW between."
    if card.without_good:
        limits = f"Never OK. NG where a type is named and the score is at most {card.band.high:.2f}, else REVIEW."
    trunk = f"\nTrunk {card.choices['trunk']}" if "trunk" in card.choices else ""
    return (
        f"{figures['recipe']}: learned {card.product} from {figures['images']} images in {figures['seconds']:.1f} s "
        f"({card.backbone}, {card.width} x {card.height} px)\n"
        f"{limits} What this rests on:{promises}{trunk}"
    )
