"""A run that was stopped goes on: its state in one file, whole or not there, named by everything that decides it."""

from __future__ import annotations

import hashlib
import io
import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sightline.core.errors import TrainingError
from sightline.core.files import cache_folder
from sightline.models.backbone import Backbone
from sightline.runtime.recipe import write_atomically
from sightline.train.images.loader import warn
from sightline.train.labels.targets import Labelled
from sightline.train.settings import TrainSettings

VERSION = 4  # raise it when the loop changes, so that no run goes on with another one's state
EVERY_S = 60.0  # seconds between two savings, which is what a kill can cost
KEPT_DAYS, KEPT_RUNS = 7, 4  # others in the folder: what a run can be gone on with, and what a disk must bear

State = dict[str, Any]


class Checkpoint:
    """The state of one run in `folder`, the last one of a finished run, too: a recipe is more than its backbone, and
    may be stopped after it. A disk that is full costs the checkpoint, not the training.
    """

    def __init__(self, key: str, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "tuning"
        self._key, self.path, self._saved = key, self._folder / f"{key}.pt", time.monotonic()
        others = {path: _age_s(path) for path in self._folder.glob("*.*") if path != self.path}
        for rank, path in enumerate(sorted(others, key=lambda path: others[path])):
            if rank >= KEPT_RUNS or others[path] > KEPT_DAYS * 86_400:
                path.unlink(missing_ok=True)

    def load(self) -> State | None:
        """The state that was saved last; None where there is none, or where it cannot be read."""
        if not self.path.exists():
            return None
        try:
            state: State = torch.load(self.path, weights_only=True, map_location="cpu")
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            warn(f"{self.path}: cannot be read ({type(error).__name__}), so fine-tuning starts from the beginning")
            return None
        return state

    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self._saved >= EVERY_S

    def save(self, state: State) -> None:
        """Write the state beside the last one, then put it in its place."""
        data = io.BytesIO()
        torch.save(state, data)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, data.getvalue())
        except OSError as error:
            warn(f"{self.path}: the state of fine-tuning could not be saved ({error.strerror}); a kill would lose it")
        self._saved = time.monotonic()

    def save_batch(self, batch: Sequence[Labelled], step: int, loss: float) -> Path:
        """Images (N, H, W, 3), paths, classes (N, K + 1; -1: nobody has said), grades, step and loss of one batch.

        Raises TrainingError where not even that can be written.
        """
        path = self._folder / f"{self._key}-step-{step}.npz"
        unlabelled = np.full(max((len(x.classes) for x in batch if x.classes is not None), default=0), -1)
        data = io.BytesIO()
        np.savez_compressed(
            data,
            images=np.stack([x.image for x in batch]),
            paths=np.array([str(x.part.sample.path) for x in batch]),
            classes=np.array([unlabelled if x.classes is None else x.classes for x in batch], np.int8),
            grades=np.array([x.grade for x in batch]),
            step=step,
            loss=loss,
        )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data.getvalue())
        except OSError as error:
            raise TrainingError(
                f"the loss is {loss} at step {step}, and its batch could not be saved to {path} ({error.strerror}). "
                "Lower tune_rate; free space to look at the batch"
            ) from error
        return path


def _age_s(path: Path) -> float:
    """Seconds since a file was written; as old as can be where another run has just removed it."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def run_key(
    source: Backbone,
    heads: Sequence[nn.Module | None],
    parts: Sequence[Sequence[Labelled]],
    settings: TrainSettings,
) -> str:
    """What tells a run from all others: backbone, first weights of the heads, images, labels and settings."""
    total = hashlib.sha256(f"{VERSION} {source.identity} {settings.model_dump_json()}".encode())
    for value in [value for head in heads if head is not None for value in head.state_dict().values()]:
        total.update(value.cpu().numpy().tobytes())
    for labelled in parts:
        total.update(f"{len(labelled)}".encode())
        for x in labelled:
            total.update(x.image.tobytes() + f"{x.grade} {x.part.unit}".encode())
            total.update(b"" if x.classes is None else x.classes.tobytes())
            total.update(b"" if x.cells is None else x.cells.tobytes())
            total.update(b"" if x.boxes is None else x.boxes.corners.tobytes() + x.boxes.types.tobytes())
    return total.hexdigest()[:16]
