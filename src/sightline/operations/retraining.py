"""Many recipes at once: every dataset of a folder trained, here or on a cluster; what is done stays done."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError, SightlineError
from sightline.core.figures import Figures
from sightline.core.files import make_folder
from sightline.core.progress import Progress, unwatched
from sightline.data.formats.folders import files_below
from sightline.operations.training import train
from sightline.runtime.cluster import Cluster, Lost
from sightline.runtime.recipe import write_atomically

NOTED = ".{}.json"  # beside a recipe: what it was trained from


@dataclass(frozen=True)
class Product:
    """A dataset and the recipe to be made from it; `key` changes with the files and with the settings."""

    data: Path
    recipe: Path
    key: str


@dataclass(frozen=True, slots=True)
class TrainedProduct(Figures):
    """What has come of one product: figures as `train` gives them, or the error that it ended with."""

    product: str
    recipe: str
    figures: dict[str, Any] | None
    error: str | None


def train_all(
    folder: Path,
    output: Path,
    settings: Mapping[str, object],
    cluster: Cluster | None = None,
    *,
    progress: Progress | None = None,
) -> Iterator[TrainedProduct]:
    """Train a recipe from each dataset in `folder`, into `output`/NAME.onnx; each as soon as it is there.

    A recipe that was trained from the same files with the same settings is left as it is. A dataset that cannot be
    trained from does not end the others. Raises InputError where there is no dataset.
    """
    from sightline.train.settings import TrainSettings

    cluster = cluster or Cluster()
    settings = {"threads": cluster.cores, **settings}
    TrainSettings.parse(dict(settings))  # a wrong one is said once, before anything is trained
    products = _products(folder, output, settings)
    make_folder(output)
    waiting = [product for product in products if not _is_done(product)]
    done = len(products) - len(waiting)
    (progress or unwatched)("recipes", done, len(products))
    for product, answer in cluster.map(train_one, dict(settings), waiting):
        done += 1
        (progress or unwatched)("recipes", done, len(products))
        recipe, name = product.recipe, product.data.name
        if isinstance(answer, Lost | str):
            yield TrainedProduct(name, str(recipe), None, answer if isinstance(answer, str) else answer.reason)
        else:
            data, figures = answer
            write_atomically(recipe, data)
            figures |= {"recipe": str(recipe)}
            write_atomically(recipe.with_name(NOTED.format(recipe.stem)), json.dumps({"key": product.key}).encode())
            yield TrainedProduct(name, str(recipe), figures, None)


def train_one(settings: dict[str, object], product: Product) -> tuple[bytes, dict[str, Any]] | str:
    """The recipe's bytes and the training's figures, or why there is none."""
    if not product.data.is_dir():
        return f"{product.data}: is not there on a machine of the cluster. Mount it on all of them at the same path"
    with tempfile.TemporaryDirectory() as desk:
        try:
            trained = train(product.data, Path(desk) / "trained.onnx", settings)
        except SightlineError as error:
            return str(error)
        return (Path(desk) / "trained.onnx").read_bytes(), trained.figures


def _products(folder: Path, output: Path, settings: Mapping[str, object]) -> list[Product]:
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder. Name one that holds a folder of photos per product")
    found = []
    for data in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        digest = hashlib.sha256(json.dumps(dict(settings), sort_keys=True, default=str).encode())
        for file in files_below(data):
            status = file.stat()
            digest.update(f"{file.relative_to(data)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        found.append(Product(data, output / f"{data.name}.onnx", digest.hexdigest()))
    if not found:
        raise InputError(f"{folder}: holds no folders. Name one that holds a folder of photos per product")
    return found


def _is_done(product: Product) -> bool:
    note = product.recipe.with_name(NOTED.format(product.recipe.stem))
    try:
        return product.recipe.is_file() and json.loads(note.read_text())["key"] == product.key
    except (OSError, ValueError, KeyError, TypeError):
        return False
