"""`sightline teach`: a new defect type from a few images, and what it did to the old ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.core.card import Bounded


def teach(recipe: Path, name: str, images: Sequence[Path], output: Path) -> dict[str, Any]:
    """Teach a recipe a type and save the new one: figures as plain JSON values."""
    from sightline.command.inspecting import expand
    from sightline.runtime.recipe import check_writable
    from sightline.train.teach import teach as learn

    check_writable(output)
    taught = learn(recipe, name, list(expand(images)))
    taught.recipe.save(output)
    return {
        "recipe": str(output),
        "type": name,
        "recognised_when_left_out": _rate(taught.recognised),
        "old_types": [
            {"type": old, "before": _rate(found), "after": _rate(taught.after[old])}
            for old, found in taught.before.items()
        ],
        "seconds": round(taught.seconds, 3),
    }


def _rate(found: Bounded) -> dict[str, int]:
    return {"count": found.count, "of": found.of}


def describe(figures: dict[str, Any]) -> str:
    """What a person wants to know after teaching."""
    left_out = figures["recognised_when_left_out"]
    rows = [
        f"{figures['recipe']}: knows '{figures['type']}' after {figures['seconds']:.1f} s",
        f"Of {left_out['of']} examples, {left_out['count']} were recognised when they were left out themselves.",
        f"{'Parts that the recipe kept':<30}{'called so before':>20}{'and after':>14}",
    ]
    for row in figures["old_types"]:
        before, after = (f"{row[when]['count']} of {row[when]['of']}" for when in ("before", "after"))
        rows.append(f"{row['type']:<30}{before:>20}{after:>14}")
    return "\n".join(rows)
