"""The backbone gives the same maps in torch and in onnxruntime, and a broken cache costs time only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.models.backbone import backbone
from sightline.runtime.session import OnnxSession
from sightline.train.backbone import extractor as extractor_module
from sightline.train.backbone.extractor import OnnxExtractor, PooledExtractor, backbone_onnx, open_extractor
from sightline.train.backbone.lite_graph import OPSET
from sightline.train.backbone.torch_extractor import TorchExtractor

STRIDES = (4, 8, 16, 32)
MAPS = [f"stride_{stride}" for stride in STRIDES]


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3)).astype(np.uint8)


def test_onnx_equals_torch(
    onnx_backbone: OnnxExtractor, torch_extractor: TorchExtractor, pictures: NDArray[np.uint8]
) -> None:
    ours, reference = onnx_backbone(pictures), torch_extractor(pictures)
    assert list(ours) == list(reference) == MAPS
    for stride, key in zip(STRIDES, MAPS, strict=True):
        assert ours[key].shape[-2:] == (64 // stride, 96 // stride)
        assert ours[key].dtype == np.float32
        difference = np.abs(ours[key] - reference[key]).max() / reference[key].std()
        assert float(difference) < 1e-3, key


@pytest.mark.parametrize("size", [(1, 32, 32), (2, 96, 160), (1, 224, 64)])
def test_one_export_serves_all_sizes(
    size: tuple[int, int, int], onnx_backbone: OnnxExtractor, torch_extractor: TorchExtractor
) -> None:
    images = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    ours, reference = onnx_backbone(images), torch_extractor(images)
    assert all(np.allclose(ours[key], reference[key], atol=0.01) for key in MAPS)


def test_dinov2_in_onnx_equals_torch_at_all_sizes() -> None:
    ours, reference = OnnxExtractor("dinov2-s", threads=1), TorchExtractor("dinov2-s")
    for size in ((2, 56, 84), (1, 154, 70)):
        images = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
        assert _difference(ours(images), reference(images)) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["resnet", "dinov2", "mobilevit"])
def test_a_backbone_of_the_hub_in_onnx_equals_torch(
    kind: str, hub_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    name = f"hf:{hub_folder(kind)}"
    source = backbone(name)
    ours, reference = OnnxExtractor(name, threads=1), TorchExtractor(name)
    for rows, columns in ((2, 3), (6, 5)):
        size = 2, rows * source.step_px, columns * source.step_px
        images = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
        maps = ours(images)
        assert tuple(maps) == source.maps
        assert _difference(maps, reference(images)) < 1e-3
    assert len(list(tmp_path.iterdir())) == (1 if source.any_size else 2)


def _difference(ours: dict[str, NDArray[np.float32]], reference: dict[str, NDArray[np.float32]]) -> float:
    """Largest difference, relative to the largest value of its map."""
    return max(
        float(np.abs(ours[key] - reference[key]).max() / max(np.abs(reference[key]).max(), 1e-12)) for key in ours
    )


def test_a_backbone_for_one_size_needs_the_size(hub_folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="is exported for one input size"):
        backbone_onnx(f"hf:{hub_folder('mobilevit')}")


@pytest.mark.parametrize("kind", [OnnxExtractor, TorchExtractor])
def test_an_input_that_would_be_cut_off_is_refused(kind: type, torch_extractor: TorchExtractor) -> None:
    extractor = torch_extractor if kind is TorchExtractor else OnnxExtractor("lite0", threads=1)
    with pytest.raises(InputError, match=r"100 x 64 px: the backbone needs sides that are multiples of 32"):
        extractor(np.zeros((1, 64, 100, 3), np.uint8))


def test_the_fastest_backbone_is_taken() -> None:
    expected = TorchExtractor if torch.cuda.is_available() else OnnxExtractor
    extractor = open_extractor("lite0", threads=1)
    assert type(extractor) is expected


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(InputError, match="no backbone is called 'lite9'"):
        open_extractor("lite9", threads=1)


def _cache_file(folder: Path) -> Path:
    return folder / f"backbone-{backbone('lite0').identity}-v{extractor_module.EXPORT_VERSION}.onnx"


def test_an_export_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = backbone_onnx("lite0")
    _cache_file(tmp_path).write_bytes(data)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    monkeypatch.setattr(extractor_module, "lite_onnx", lambda variant: pytest.fail("exported again"))
    assert backbone_onnx("lite0") == data


def test_a_damaged_cache_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, torch_extractor: TorchExtractor, pictures: NDArray[np.uint8]
) -> None:
    """The one test of lite0 that writes it for real."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    _cache_file(tmp_path).write_bytes(b"half a file")
    data = backbone_onnx("lite0")
    assert _cache_file(tmp_path).read_bytes() == data
    maps = OnnxSession(data, threads=1).run({"image": pictures})
    assert list(maps) == MAPS
    reference = torch_extractor(pictures)
    assert all(np.allclose(maps[key], reference[key], atol=0.01) for key in MAPS)


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: data[:-1]])
def test_every_damage_is_noticed(spoil: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = backbone_onnx("lite0")
    _cache_file(tmp_path).write_bytes(spoil(data))  # type: ignore[operator]
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    monkeypatch.setattr(extractor_module, "lite_onnx", lambda variant: data)
    assert backbone_onnx("lite0") == data
    assert _cache_file(tmp_path).read_bytes() == data


def test_a_cache_that_cannot_be_written_only_warns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(extractor_module, "lite_onnx", lambda variant: b"the export")
    with pytest.warns(UserWarning, match="the exported backbone could not be cached"):
        assert backbone_onnx("lite0") == b"the export"


def test_the_exported_backbone_has_the_opset_of_recipes() -> None:
    # Another one could not be joined with the lines of the heads into one graph.
    imported = onnx.load_from_string(backbone_onnx("lite0")).opset_import
    assert [(entry.domain, entry.version) for entry in imported] == [("", OPSET)]


# In bfloat16, as on a GPU


def _relative(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_in_bfloat16_the_maps_are_float32_and_near(
    torch_extractor: TorchExtractor, pictures: NDArray[np.uint8]
) -> None:
    half, expected = TorchExtractor("lite0", half=True)(pictures), torch_extractor(pictures)
    assert half.keys() == expected.keys()
    for name, maps in half.items():
        assert maps.dtype == np.float32
        assert 1e-5 < _relative(maps, expected[name]) < 0.06, name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the backbone was not run on a GPU here")
@pytest.mark.parametrize("half", [False, True])
def test_a_gpu_gives_the_cpus_maps(half: bool, torch_extractor: TorchExtractor, pictures: NDArray[np.uint8]) -> None:
    found, expected = TorchExtractor("lite0", "cuda", half)(pictures), torch_extractor(pictures)
    for name, maps in found.items():
        assert maps.is_cuda and maps.dtype == torch.float32
        assert _relative(maps.cpu().numpy(), expected[name]) < 0.06, name


def test_the_first_export_says_nothing_about_packages_that_are_not_needed() -> None:
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from sightline.models.backbone import backbone\n"
        "from sightline.train.backbone.torch_extractor import export_backbone\n"
        "assert export_backbone(backbone('lite0'), (64, 64))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


# The embedding of whole images: one row each, the same alone and in a batch, for any size.


def test_rows_do_not_depend_on_the_batch(draw: Any) -> None:
    embed = PooledExtractor("lite0", threads=1, side_px=100)
    images = [draw(0)[0], draw(1, height=60, width=200)[0], draw(2)[0][:16, :16]]
    together = embed(images)
    assert together.shape == (3, 2 * (112 + 320)) and together.dtype == np.float32
    for row, image in zip(together, images, strict=True):
        np.testing.assert_allclose(embed([image])[0], row, rtol=1e-3, atol=1e-3)
