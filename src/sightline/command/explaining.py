"""`sightline explain`: why parts got their verdicts, as pictures and in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sightline.core.card import Card
from sightline.core.errors import InputError

TUNED = "Attention is not shown: the trunk was fine-tuned, and its weights are in the recipe's graph only"
NO_TORCH = "Attention is not shown: it needs torch. Install it with: pip install 'sightline[train,vit]'"


def explain(recipe: Path, images: Sequence[Path], output: Path, threads: int) -> Iterator[dict[str, Any]]:
    """Explanations as plain JSON values, in order; `error` is set where there was nothing to judge.

    `output` is a picture for one image, or a folder. Raises InputError where several images would go to one picture.
    """
    from sightline.command.inspecting import expand
    from sightline.evaluate.explain.explanation import Explainer
    from sightline.runtime.recipe import Recipe

    paths = list(expand(images))
    loaded = Recipe.load(recipe)
    explainer = Explainer(loaded, threads, _attention(loaded.card))
    for path, picture in zip(paths, _pictures(paths, output), strict=True):
        try:
            found = explainer.explain(path)
        except InputError as error:
            yield {"image": str(path), "verdict": "NG", "score": None, "p_value": None, "error": str(error)}
            continue
        yield {**found.to_json(), "picture": str(found.picture().save(picture))}


def _pictures(paths: Sequence[Path], output: Path) -> list[Path]:
    """Where each explanation goes; a folder is made."""
    if output.suffix and not output.is_dir():
        if len(paths) > 1:
            raise InputError(f"{output}: {len(paths)} images do not go into one picture. Name a folder")
        return [output]
    output.mkdir(parents=True, exist_ok=True)
    names = [f"{path.stem}-why" for path in paths]
    return [
        output / f"{name}{f'-{number}' if names.count(name) > 1 else ''}.png" for number, name in enumerate(names, 1)
    ]


def _attention(card: Card) -> Callable[..., Any]:
    """Attention of the trunk where torch is installed and its weights are at hand; elsewhere the reason why not."""
    if card.provenance.tuning is not None:
        return lambda image: (None, TUNED)
    if find_spec("torch") is None:
        return lambda image: (None, NO_TORCH)
    from sightline.train.attention import Attention

    return Attention(card.backbone)


def describe(result: dict[str, Any]) -> str:
    """The explanation for people."""
    if result.get("error"):
        return f"{result['image']}: NG, not judged: {result['error']}"
    notes = "".join(f"\n  note: {note}" for note in (*result["warnings"], *result["notes"]))
    return f"{result['image']}: {result['explanation']}\n  picture: {result['picture']}{notes}"
