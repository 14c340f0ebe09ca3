"""`sightline inspect`: one verdict per image; an image that cannot be judged is NG and never OK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError


def inspect(recipe: Path, images: Sequence[Path], overlays: Path | None, threads: int) -> Iterator[dict[str, Any]]:
    """Results as plain JSON values, in order; `error` is set where there was nothing to judge."""
    from sightline.runtime.inspector import Inspector

    inspector = Inspector(recipe, threads)
    inspector.warm_up()
    if overlays is not None:
        overlays.mkdir(parents=True, exist_ok=True)
    for path in _expand(images):
        try:
            result = inspector.inspect(path)
        except InputError as error:
            yield {"image": str(path), "verdict": "NG", "score": None, "p_value": None, "error": str(error)}
            continue
        if overlays is not None:
            result.overlay().save(overlays / f"{path.stem}-{result.verdict}.png")
        yield result.to_json()


def _expand(paths: Sequence[Path]) -> Iterator[Path]:
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


def describe(result: dict[str, Any]) -> str:
    """One line for people."""
    if result.get("error"):
        return f"NG      {'-':>8}  {result['image']}: not judged: {result['error']}"
    found = len(result["defects"])
    places = f"  {found} place{'s' * (found != 1)}" if found else ""
    ms = result["times_ms"]["total"]
    line = f"{result['verdict']:<7} {result['score']:8.3f}  p {result['p_value']:.3f}  {ms:6.1f} ms  {result['image']}"
    return line + places + "".join(f"\n        note: {note}" for note in result["warnings"])
