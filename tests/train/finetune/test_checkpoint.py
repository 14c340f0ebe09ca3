"""A run's state: whole or not there, named by all that decides it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightline.core.errors import TrainingError
from sightline.train.finetune import checkpoint as module
from sightline.train.finetune.checkpoint import KEPT_DAYS, KEPT_RUNS, Checkpoint, run_key
from sightline.train.images.loader import TrainingWarning
from sightline.train.labels.targets import Labelled
from sightline.train.settings import TrainSettings


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    keep = Checkpoint("run", tmp_path / "new")
    assert keep.load() is None
    keep.save({"learning": {"w": torch.arange(3.0)}, "course": {"step": 7}})
    state = Checkpoint("run", tmp_path / "new").load()
    assert state is not None and state["course"]["step"] == 7 and torch.equal(state["learning"]["w"], torch.arange(3.0))
    assert Checkpoint("other", tmp_path / "new").load() is None
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run.pt"]


@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_a_damaged_state_is_named_and_not_used(damage: str, tmp_path: Path) -> None:
    keep = Checkpoint("run", tmp_path)
    keep.save({"course": {"step": 7}})
    data = keep.path.read_bytes()
    keep.path.write_bytes({"cut": data[: len(data) // 2], "noise": b"no checkpoint", "empty": b""}[damage])
    with pytest.warns(TrainingWarning, match=r"run\.pt: cannot be read .* starts from the beginning"):
        assert keep.load() is None


def test_a_full_disk_costs_the_state_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_of: Callable[..., Labelled]
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.warns(TrainingWarning, match="could not be saved"):
        Checkpoint("run", tmp_path).save({})
    with pytest.raises(TrainingError, match=r"loss is nan at step 3.*could not be saved.*Lower tune_rate"):
        Checkpoint("run", tmp_path).save_batch([part_of(0, 1, 0)], 3, float("nan"))


def test_it_is_time_to_save_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = Checkpoint("run", tmp_path)
    assert not keep.due()
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    assert keep.due()


def test_what_nobody_went_on_with_is_removed(tmp_path: Path) -> None:
    Checkpoint("old", tmp_path).save({})
    Checkpoint("new", tmp_path).save({})
    long_ago = time.time() - (KEPT_DAYS + 1) * 86_400
    os.utime(tmp_path / "old.pt", (long_ago, long_ago))
    Checkpoint("other", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new.pt"]
    for number in range(KEPT_RUNS + 2):
        Checkpoint(f"{number}", tmp_path).save({})
        os.utime(tmp_path / f"{number}.pt", (time.time() - 100 + number,) * 2)
    Checkpoint("new", tmp_path)  # its own state stays, however many there are
    assert len(list(tmp_path.iterdir())) == KEPT_RUNS + 1 and (tmp_path / "new.pt").exists()


def test_whatever_decides_a_run_is_in_its_name(
    tiny: Any, settings: TrainSettings, parts_of: Callable[..., list[Labelled]]
) -> None:
    parts, more = parts_of(6), parts_of(3, 90)
    first = run_key(tiny.source, (tiny.heads,), (parts, more), settings)
    assert first == run_key(tiny.source, (tiny.heads,), (parts_of(6), parts_of(3, 90)), settings)
    other_label = [replace(parts[0], classes=np.array([False, False, True])), *parts[1:]]
    other_image = [replace(parts[0], image=255 - parts[0].image), *parts[1:]]
    keys = {
        run_key(tiny.source, (tiny.heads,), (other_label, more), settings),
        run_key(tiny.source, (tiny.heads,), (other_image, more), settings),
        run_key(tiny.source, (tiny.heads,), (parts + more, []), settings),
        run_key(tiny.source, (tiny.heads,), (parts, more), settings.model_copy(update={"seed": 3})),
        run_key(tiny.source._replace(identity="tiny-2"), (tiny.heads,), (parts, more), settings),
    }
    with torch.no_grad():
        tiny.heads.mix.weight[0, 0, 0, 0] += 1
    keys.add(run_key(tiny.source, (tiny.heads,), (parts, more), settings))
    assert len(keys | {first}) == 7
