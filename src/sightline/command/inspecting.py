"""`sightline inspect`: one verdict per image; an image that cannot be judged is NG and never OK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.errors import InputError

if TYPE_CHECKING:
    from sightline.runtime.cascade import Cascade
    from sightline.runtime.inspector import Inspector
    from sightline.runtime.session import Engine, Precision


def open_judge(
    recipe: Path, accurate: Path | None, threads: int, engine: Engine = "onnxruntime", precision: Precision = "f32"
) -> Inspector | Cascade:
    """The recipe at work, or the cascade of two, warmed up. Raises RecipeError."""
    from sightline.runtime.cascade import Cascade
    from sightline.runtime.inspector import Inspector

    judge: Inspector | Cascade
    if accurate is None:
        judge = Inspector(recipe, threads, engine, precision)
    else:
        judge = Cascade(recipe, accurate, threads, engine, precision)
    judge.warm_up()
    return judge


def inspect(inspector: Inspector | Cascade, images: Sequence[Path], overlays: Path | None) -> Iterator[dict[str, Any]]:
    """Results as plain JSON values, in order; `error` is set where there was nothing to judge."""
    if overlays is not None:
        overlays.mkdir(parents=True, exist_ok=True)
    for path in expand(images):
        try:
            result = inspector.inspect(path)
        except InputError as error:
            yield {"image": str(path), "verdict": "NG", "score": None, "p_value": None, "error": str(error)}
            continue
        if overlays is not None:
            result.overlay().save(overlays / f"{path.stem}-{result.verdict}.png")
        yield result.to_json()


def expand(paths: Sequence[Path]) -> Iterator[Path]:
    """Folders stand for the images in them."""
    from sightline.data.formats.folders import images_in

    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = images_in(path)
        if not found:
            raise InputError(f"{path}: holds no images. Name image files, or a folder of them")
        yield from found


def _named(result: dict[str, Any]) -> str:
    """The types of the outlined places, the likeliest first, and the grade."""
    types, names = result.get("types", {}), list(dict.fromkeys(defect["type"] for defect in result["defects"]))
    if not types:
        return "" if result["grade"] is None else f"  grade {result['grade']}"
    words = [f"{name} {types[name]:.0%}" if types.get(name) is not None else name for name in names]
    return ("  " + ", ".join(words) if words else "") + (
        "" if result["grade"] is None else f"  grade {result['grade']}"
    )


def describe(result: dict[str, Any]) -> str:
    """One line for people."""
    if result.get("error"):
        return f"NG      {'-':>8}  {result['image']}: not judged: {result['error']}"
    found = len(result["defects"])
    places = f"  {found} place{'s' * (found != 1)}" if found else ""
    ms = result["times_ms"]["total"]
    line = f"{result['verdict']:<7} {result['score']:8.3f}  p {result['p_value']:.3f}  {ms:6.1f} ms  {result['image']}"
    line += "  (accurate recipe)" if result.get("judged_by") == "accurate" else ""
    return line + places + _named(result) + "".join(f"\n        note: {note}" for note in result["warnings"])
