"""Attention rollout: which patches a vision transformer's class token has drawn on, over all blocks.

Source: S. Abnar and W. Zuidema, "Quantifying attention flow in transformers", ACL 2020: heads are averaged, the
identity stands for the residual path, rows are scaled to sum to 1, and the blocks' matrices are multiplied.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sightline.models.dinov2 import HEADS, WIDTH, Block, Dinov2
from sightline.models.hub import HubBackbone, patch_px


def rollout(attention: Iterable[Tensor]) -> Tensor:
    """Attention of each block (N, heads, T, T), rows summing to 1 -> how much each token draws on each (N, T, T)."""
    total: Tensor | None = None
    for weights in attention:
        mean = weights.mean(1)
        step = (mean + torch.eye(mean.shape[-1], device=mean.device)) / 2
        total = step if total is None else step @ total
    if total is None:
        raise ValueError("a network without blocks has no attention. Give at least one block.")
    return total


@torch.inference_mode()
def attention_map(net: nn.Module, image: Tensor) -> Tensor | None:
    """Rollout from the class token to the patches (N, h, w) for images (N, 3, H, W) float32 RGB 0..255.

    Without a class token, the mean over all patches. None where `net` is not a vision transformer that shows its
    attention.
    """
    if isinstance(net, Dinov2):
        flow = rollout(_of_dinov2(net, image))
        grid = image.shape[2] // net.patches.stride[0], image.shape[3] // net.patches.stride[1]
    elif isinstance(net, HubBackbone):
        found = net.attention(image)
        if not found or found[0].ndim != 4:
            return None
        patch = patch_px(net.net.config)
        grid = image.shape[2] // patch, image.shape[3] // patch
        tokens = found[0].shape[-1]
        # Windows of tokens, as in Swin, have no common matrix that could be multiplied.
        if any(one.ndim != 4 or one.shape[-1] != tokens for one in found) or tokens < grid[0] * grid[1]:
            return None
        flow = rollout(found)
    else:
        return None
    cells = grid[0] * grid[1]
    row = flow[:, 0] if flow.shape[-1] > cells else flow.mean(1)
    return row[:, -cells:].reshape(-1, *grid)


def _of_dinov2(net: Dinov2, image: Tensor) -> Iterable[Tensor]:
    """Attention (N, heads, T, T) of every block, as `Dinov2.forward` goes through them."""
    x = net.tokens(image)
    for block in net.blocks:
        assert isinstance(block, Block)
        yield _weights(block, block.norm1(x))
        x = block(x)


def _weights(block: Block, x: Tensor) -> Tensor:
    n, tokens, _ = x.shape
    query, key = (part(x).view(n, tokens, HEADS, WIDTH // HEADS).transpose(1, 2) for part in (block.query, block.key))
    return F.softmax(query @ key.transpose(2, 3) / (WIDTH // HEADS) ** 0.5, dim=-1)
