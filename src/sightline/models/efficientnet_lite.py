"""EfficientNet-Lite 0-2: the default backbone, a CNN without squeeze-excitation that is fast on CPUs.

Its architecture and weights are described in `models.pretrained`; `train.backbone.lite_graph` writes it as ONNX.
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sightline.models.pretrained import (
    NORM_EPS,
    PIXEL_GAIN,
    PIXEL_MEAN,
    STAGES,
    TAPS,
    VARIANTS,
    lite_weights,
    scale_width,
)


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
        self.norm: nn.Module = nn.BatchNorm2d(cout, eps=NORM_EPS, momentum=0.01)
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
        x = self.stem((image - PIXEL_MEAN) * PIXEL_GAIN)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                maps.append(x)
        return tuple(maps)


def load(variant: str = "lite0") -> EfficientNetLite:
    """The pretrained backbone in eval mode, frozen."""
    net = EfficientNetLite(variant)
    order = [f"stages.{s}.{b}" for s, stage in enumerate(net.stages) for b in range(len(stage))]  # type: ignore[arg-type]
    renamed = {
        re.sub(r"^blocks\.(\d+)", lambda m: order[int(m[1])], name): torch.from_numpy(values)
        for name, values in lite_weights(variant).items()
    }
    net.load_state_dict(renamed | {name: x for name, x in net.state_dict().items() if name.endswith("_tracked")})
    return net.eval().requires_grad_(False)
