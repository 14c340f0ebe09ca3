"""Layers in the order of a forward pass, whatever the family, and rates that fall towards the first one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from sightline.models.backbone import backbone
from sightline.models.efficientnet_lite import EfficientNetLite, fold_frozen
from sightline.train.finetune.network import FIRST_RATE, free_last, layers_of, rate_at

IMAGE = torch.rand(1, 3, 64, 64) * 255


def _backbone(kind: str, hub_folder: Callable[[str], Path]) -> nn.Module:
    return EfficientNetLite().eval() if kind == "lite0" else backbone(f"hf:{hub_folder(kind)}").load()


@pytest.mark.parametrize("kind", ["lite0", "resnet", "vit", "mobilevit"])
def test_rates_rise_with_depth(kind: str, hub_folder: Callable[[str], Path]) -> None:
    net = _backbone(kind, hub_folder)
    layers = layers_of(net, IMAGE)
    shares = [layer.share for layer in layers]
    assert shares == sorted(shares) and len(set(shares)) == len(shares) > 5
    assert shares[0] == pytest.approx(FIRST_RATE) and shares[-1] == 1.0
    assert not net._forward_pre_hooks and not any(module._forward_pre_hooks for module in net.modules())


def test_layers_are_in_the_order_of_reading_and_hold_every_parameter_once() -> None:
    net = EfficientNetLite().eval()
    layers = layers_of(net, IMAGE)
    assert [layer.name for layer in layers][:3] == ["stem", "stages.0.0", "stages.1.0"]
    assert layers[-1].name == "stages.6.0"
    held = [id(parameter) for layer in layers for parameter in layer.parameters]
    assert sorted(held) == sorted(id(parameter) for parameter in net.parameters())


def test_only_the_last_layers_learn() -> None:
    net = EfficientNetLite().eval()
    trainable = free_last(layers_of(net, IMAGE), 0.65)
    assert trainable[0].name == "stages.3.0"  # all that is read at stride 16 and coarser
    learning = {name for name, parameter in net.named_parameters() if parameter.requires_grad}
    assert learning == {
        name for name, _ in net.named_parameters() if name[:9] in {f"stages.{i}." for i in (3, 4, 5, 6)}
    }
    assert len(free_last(layers_of(net, IMAGE), 1.0)) == 17
    assert len(free_last(layers_of(net, IMAGE), 0.01)) == 1


def test_folding_what_is_frozen_changes_nothing_that_is_said() -> None:
    torch.manual_seed(0)
    net = EfficientNetLite()
    with torch.no_grad():
        net.train()(torch.rand(4, 3, 64, 64) * 255)  # statistics that are not 0 and 1
        net.eval()
        before = net(IMAGE)
        free_last(layers_of(net, IMAGE), 0.65)
        fold_frozen(net)
        after = net(IMAGE)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in net.stages[:3].modules()) == 0
    assert sum(isinstance(module, nn.BatchNorm2d) for module in net.stages[3:].modules()) > 0
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-3 * float(one.abs().max()))


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    rates = [rate_at(step, 100) for step in range(100)]
    assert rates[:10] == sorted(rates[:10]) and rates[0] == pytest.approx(0.1)
    assert max(rates) == 1.0 and rates[10:] == sorted(rates[10:], reverse=True) and rates[-1] < 0.001
    assert rate_at(0, 1) == 1.0
