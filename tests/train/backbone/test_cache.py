"""What memory has no room for comes back as it was; a full disk costs the keeping, not the training."""

from __future__ import annotations

import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightline.models.backbone import backbone
from sightline.train.backbone.cache import CachedMaps, DiskCache
from sightline.train.backbone.extractor import open_extractor
from sightline.train.images.loader import TrainingWarning


def group(seed: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {"a": torch.randn(1, 3, 4, 5, generator=rng).half(), "b": torch.randn(1, 2, 7, 1, generator=rng)}


def test_groups_come_back_in_any_order(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path)
    for seed in range(5):
        disk.write(("part", seed), group(seed))
    for seed in (3, 0, 4, 0):
        found = disk.read(("part", seed))
        assert found is not None and list(found) == ["a", "b"]
        for name, values in group(seed).items():
            assert found[name].dtype == values.dtype
            torch.testing.assert_close(found[name], values, rtol=0, atol=0)
    assert disk.read("another") is None


def test_leaves_no_file_with_a_name(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path)
    disk.write("one", group(0))
    assert list(tmp_path.iterdir()) == [] and disk.read("one") is not None


def test_keeps_no_more_than_it_may(tmp_path: Path) -> None:
    size = sum(values.nbytes for values in group(0).values())
    disk = DiskCache(tmp_path, most=2 * size)
    for seed in range(3):
        disk.write(seed, group(seed))
    assert [disk.read(seed) is not None for seed in range(3)] == [True, True, False]


def test_a_folder_that_cannot_be_written_costs_the_keeping(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    disk = DiskCache(blocked / "folder")
    with pytest.warns(TrainingWarning, match="could not be cached on disk"):
        disk.write("one", group(0))
    assert disk.read("one") is None
    disk.write("two", group(1))  # without a second warning
    assert disk.read("two") is None


def test_a_disk_that_fills_up_keeps_what_it_has(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path)
    disk.write("one", group(0))
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (sum(v.nbytes for v in group(0).values()) + 10, before[1]))
        with pytest.warns(TrainingWarning, match="Free some space"):
            disk.write("two", group(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert disk.read("two") is None
    found = disk.read("one")
    assert found is not None and torch.equal(found["b"], group(0)["b"])


def test_maps_beyond_memory_do_not_need_the_backbone_again(tmp_path: Path, draw: Any) -> None:
    extractor, calls = open_extractor("lite0", 1), []

    def counted(images: Any) -> Any:
        calls.append(len(images))
        return extractor(images)

    source = backbone("lite0")
    maps_of = CachedMaps(counted, source, free_bytes=0, disk=DiskCache(tmp_path))  # type: ignore[arg-type]
    image = np.ascontiguousarray(draw(0)[0])
    first = maps_of("one", image, True)
    again = maps_of("one", image, True)
    assert len(calls) == 1 and not any(tmp_path.iterdir())
    for name in source.maps:
        assert torch.equal(first[name], again[name])


def test_views_are_those_of_the_image_as_it_lies(tmp_path: Path) -> None:
    """Each view is computed once, and a batch holds what single images give."""
    seen: list[np.ndarray[Any, Any]] = []

    def extract(images: np.ndarray[Any, Any]) -> dict[str, torch.Tensor]:
        seen.append(images[0])
        return {name: torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) for name in source.maps}

    source = backbone("lite0")
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    maps_of = CachedMaps(extract, source, disk=DiskCache(tmp_path))
    for across, down, expected in ((False, False, image), (True, False, image[:, ::-1]), (False, True, image[::-1])):
        for _ in range(2):
            found = maps_of("part", image, across, down)
        np.testing.assert_array_equal(seen[-1], expected)
        np.testing.assert_array_equal(found[source.maps[0]][0].permute(1, 2, 0).numpy(), expected)
    assert len(seen) == 3
    batch = maps_of.batch([("part", image, False), ("part", image, True)])
    assert batch[source.maps[0]].dtype == torch.float32
    np.testing.assert_array_equal(batch[source.maps[0]][1].permute(1, 2, 0).numpy(), image[:, ::-1])
