"""The trunk gives the same maps in torch and in onnxruntime, and a broken cache costs time only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.models.backbone import STRIDES, backbone
from sightline.runtime.session import OnnxSession
from sightline.train import trunk as trunk_module
from sightline.train.trunk import OPSET, OnnxTrunk, TorchTrunk, cache_folder, open_trunk, trunk_onnx


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3)).astype(np.uint8)


def test_onnx_equals_torch(onnx_trunk: OnnxTrunk, torch_trunk: TorchTrunk, pictures: NDArray[np.uint8]) -> None:
    ours, reference = onnx_trunk(pictures), torch_trunk(pictures)
    assert list(ours) == list(reference) == list(STRIDES)
    for stride in STRIDES:
        assert ours[stride].shape[-2:] == (64 // stride, 96 // stride)
        assert ours[stride].dtype == torch.float32
        difference = (ours[stride] - reference[stride]).abs().max() / reference[stride].std()
        assert float(difference) < 1e-3, stride


@pytest.mark.parametrize("size", [(1, 32, 32), (2, 96, 160), (1, 224, 64)])
def test_one_export_serves_all_sizes(
    size: tuple[int, int, int], onnx_trunk: OnnxTrunk, torch_trunk: TorchTrunk
) -> None:
    images = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    ours, reference = onnx_trunk(images), torch_trunk(images)
    assert all(torch.allclose(ours[stride], reference[stride], atol=0.01) for stride in STRIDES)


def test_the_fastest_trunk_is_taken() -> None:
    expected = TorchTrunk if torch.cuda.is_available() else OnnxTrunk
    trunk = open_trunk("lite0", threads=1)
    assert type(trunk) is expected
    assert trunk.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_an_unknown_trunk_is_refused() -> None:
    with pytest.raises(InputError, match="no backbone is called 'lite9'"):
        open_trunk("lite9", threads=1)


def test_the_cache_has_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SIGHTLINE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "sightline"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/sightline"


def _cache_file(folder: Path) -> Path:
    return folder / f"trunk-{backbone('lite0').identity}-v{trunk_module.EXPORT_VERSION}.onnx"


def test_an_export_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = trunk_onnx("lite0")
    _cache_file(tmp_path).write_bytes(data)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    monkeypatch.setattr(trunk_module, "export_trunk", lambda source: pytest.fail("exported again"))
    assert trunk_onnx("lite0") == data


def test_a_damaged_cache_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, torch_trunk: TorchTrunk, pictures: NDArray[np.uint8]
) -> None:
    """The one test that exports for real."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    _cache_file(tmp_path).write_bytes(b"half a file")
    data = trunk_onnx("lite0")
    assert _cache_file(tmp_path).read_bytes() == data
    maps = OnnxSession(data, threads=1).run({"image": pictures})
    assert list(maps) == [f"stride_{stride}" for stride in STRIDES]
    reference = torch_trunk(pictures)
    assert all(np.allclose(maps[f"stride_{stride}"], reference[stride].numpy(), atol=0.01) for stride in STRIDES)


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: data[:-1]])
def test_every_damage_is_noticed(spoil: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = trunk_onnx("lite0")
    _cache_file(tmp_path).write_bytes(spoil(data))  # type: ignore[operator]
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    monkeypatch.setattr(trunk_module, "export_trunk", lambda source: data)
    assert trunk_onnx("lite0") == data
    assert _cache_file(tmp_path).read_bytes() == data


def test_a_cache_that_cannot_be_written_only_warns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(trunk_module, "export_trunk", lambda source: b"the export")
    with pytest.warns(UserWarning, match="the exported trunk could not be cached"):
        assert trunk_onnx("lite0") == b"the export"


def test_the_opset_is_the_recipes() -> None:
    assert OPSET == 18
