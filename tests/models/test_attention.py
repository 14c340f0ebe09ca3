"""Attention rollout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sightline.models.attention import attention_map, rollout
from sightline.models.backbone import backbone
from sightline.models.dinov2 import Dinov2


def test_rollout_multiplies_attention_with_the_residual_path() -> None:
    first = torch.tensor([[1.0, 0.0], [0.5, 0.5]])[None, None]
    second = torch.tensor([[0.0, 1.0], [1.0, 0.0]])[None, None]
    eye = torch.eye(2)
    expected = ((second[0, 0] + eye) / 2) @ ((first[0, 0] + eye) / 2)
    assert torch.allclose(rollout([first, second])[0], expected)
    with pytest.raises(ValueError, match="block"):
        rollout([])


def test_rows_still_sum_to_one() -> None:
    weights = [torch.rand(2, 3, 5, 5).softmax(-1) for _ in range(4)]
    assert torch.allclose(rollout(weights).sum(-1), torch.ones(2, 5))


def test_dinov2_gives_a_map_on_its_own_grid() -> None:
    torch.manual_seed(0)
    net = Dinov2(taps=(2,)).eval()
    found = attention_map(net, torch.rand(1, 3, 28, 42) * 255)
    assert found is not None and found.shape == (1, 2, 3)
    assert float(found.min()) > 0 and float(found.sum()) < 1


def test_a_hub_transformer_has_attention_and_a_cnn_has_none(hub_folder: Callable[[str], str]) -> None:
    found = attention_map(backbone(f"hf:{hub_folder('vit')}").load(), torch.rand(1, 3, 64, 96) * 255)
    assert found is not None and found.ndim == 3
    assert attention_map(backbone("lite0").load(), torch.rand(1, 3, 64, 64)) is None
