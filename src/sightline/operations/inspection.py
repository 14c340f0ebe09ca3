"""Parts judged, one verdict per image, and explained. An image that cannot be judged is NG and never OK."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.errors import InputError
from sightline.core.progress import Tell

if TYPE_CHECKING:
    from sightline.core.card import Card
    from sightline.runtime.cascade import Cascade
    from sightline.runtime.engine_choice import EngineSetting
    from sightline.runtime.inspector import Inspector
    from sightline.runtime.session import Precision

TUNED = "Attention is not shown: the backbone was fine-tuned, and its weights are in the recipe's graph only"
NO_TORCH = "Attention is not shown: it needs torch. Install it with: pip install 'sightline[train,vit]'"


@dataclass(frozen=True)
class Judging:
    """A recipe and how it runs; with an `accurate` one, that judges again what the first leaves in REVIEW."""

    recipe: Path
    accurate: Path | None = None
    threads: int = 2
    engine: EngineSetting = "onnxruntime"
    precision: Precision = "f32"

    def open(self, tell: Tell | None = None) -> Inspector | Cascade:
        """The recipe at work, or the cascade of two, warmed up. `tell` hears what engine=auto chose.

        Raises RecipeError.
        """
        from sightline.runtime.cascade import Cascade
        from sightline.runtime.inspector import Inspector

        inspector: Inspector | Cascade
        if self.accurate is None:
            inspector = Inspector(self.recipe, self.threads, self.engine, self.precision)
        else:
            inspector = Cascade(self.recipe, self.accurate, self.threads, self.engine, self.precision)
        inspector.warm_up()
        if tell is not None and self.engine == "auto":
            for each in (inspector,) if isinstance(inspector, Inspector) else (inspector.fast, inspector.accurate):
                tell(f"engine: {each.engine}")
        return inspector


def inspect(
    judging: Judging, images: Sequence[Path], overlays: Path | None = None, *, tell: Tell | None = None
) -> Iterator[dict[str, Any]]:
    """Results as plain JSON values, each as soon as it is there; `error` is set where there was nothing to inspect.

    Whoever has seen enough asks for no more. `overlays` is a folder for pictures of what was found.
    """
    inspector = judging.open(tell)
    paths = expand(images, leave_out=overlays)
    pictures = picture_names(paths, images) if overlays is not None else [""] * len(paths)
    for path, name in zip(paths, pictures, strict=True):
        try:
            result = inspector.inspect(path)
        except InputError as error:
            yield {"image": str(path), "verdict": "NG", "score": None, "p_value": None, "error": str(error)}
            continue
        if overlays is not None:
            picture = overlays / f"{name}-{result.verdict}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            result.overlay().save(picture)
        yield result.to_json()


def explain(recipe: Path, images: Sequence[Path], output: Path, *, threads: int = 2) -> Iterator[dict[str, Any]]:
    """Explanations as plain JSON values, in order; `error` is set where there was nothing to inspect.

    `output` is a picture for one image, or a folder. Raises InputError where several images would go to one picture.
    """
    from sightline.evaluate.explain.explaining import Explainer
    from sightline.runtime.recipe import Recipe

    paths = expand(images, leave_out=None if output.suffix else output)
    loaded = Recipe.load(recipe)
    explainer = Explainer(loaded, threads, _attention(loaded.card))
    for path, picture in zip(paths, _pictures(paths, images, output), strict=True):
        try:
            found = explainer.explain(path)
        except InputError as error:
            yield {"image": str(path), "verdict": "NG", "score": None, "p_value": None, "error": str(error)}
            continue
        yield {**found.to_json(), "picture": str(found.picture().save(picture))}


def expand(paths: Sequence[Path], *, leave_out: Path | None = None) -> list[Path]:
    """Folders stand for the images in them and in the folders below, but for `leave_out` and masks, which are counted.

    Raises InputError for a folder without an image.
    """
    from sightline.core.sample import Sample
    from sightline.data.account import take_account
    from sightline.data.formats.folders import images_below

    out = leave_out.resolve() if leave_out is not None else None
    given = []
    for path in paths:
        if not path.is_dir():
            given.append(path)
            continue
        below = images_below(path)
        found = [image for image in below if out is None or not image.resolve().is_relative_to(out)]
        if not found:
            raise InputError(f"{path}: holds no images. Name image files, or a folder of them")
        take_account(path, "", [Sample(image, None) for image in below])
        given += found
    return given


def picture_names(paths: Sequence[Path], given: Sequence[Path]) -> list[str]:
    """A name without a suffix for the picture of each path, none twice: below its folder as the image itself is.

    Where several folders are given, each has one of its own; where names recur all the same, they are numbered.
    """
    folders = [folder for folder in given if folder.is_dir()]
    often = Counter(path.name for path in given if not path.is_dir())
    taken: set[str] = set()
    names = []
    for path in paths:
        folder = next((folder for folder in folders if path.is_relative_to(folder)), None)
        if folder is not None:
            inside = path.relative_to(folder)
            name = Path(folder.resolve().name) / inside if len(given) > 1 else inside
        else:
            name = Path(path.resolve().parent.name) / path.name if often[path.name] > 1 else Path(path.name)
        first = stem = name.with_suffix("").as_posix()
        number = 1
        while stem.lower() in taken:
            number += 1
            stem = f"{first}-{number}"
        taken.add(stem.lower())
        names.append(stem)
    return names


def _pictures(paths: Sequence[Path], given: Sequence[Path], output: Path) -> list[Path]:
    """Where each explanation goes; a folder is made."""
    if output.suffix and not output.is_dir():
        if len(paths) > 1:
            raise InputError(f"{output}: {len(paths)} images do not go into one picture. Name a folder")
        return [output]
    pictures = [output / f"{name}-why.png" for name in picture_names(paths, given)]
    for folder in {picture.parent for picture in pictures}:
        folder.mkdir(parents=True, exist_ok=True)
    return pictures


def _attention(card: Card) -> Callable[..., Any]:
    """Attention of the backbone where torch is installed and its weights are at hand; elsewhere the reason why not."""
    if card.provenance.tuning is not None:
        return lambda image: (None, TUNED)
    if find_spec("torch") is None:
        return lambda image: (None, NO_TORCH)
    from sightline.train.backbone.torch_extractor import Attention

    return Attention(card.backbone)
