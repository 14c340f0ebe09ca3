"""The box head: boxes around known defects, from the backbone's maps.

One cell of the grid answers for the boxes around it: the type, the distances to the four sides, and how well the box
will fit (Z. Tian et al., "FCOS: Fully convolutional one-stage object detection", ICCV 2019, reduced to one level; the
fit instead of the centre: H. Zhang et al., "VarifocalNet", CVPR 2021). Class maps cannot do this: where instances of
one type touch, a map has one region.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sightline.models.classifier import Standardised, top_down

GROUPS = 8  # of channels that are normalised together
EPS = 1e-5
LONGEST = 4.0  # of the exponent: no side is farther than e^4 units
RARE = -4.0  # first guess of a type's logit in a cell: most cells show none


@dataclass(frozen=True)
class BoxMaps:
    """Type logits (N, K, h, w), distances to left, top, right and bottom side (N, 4, h, w) in px of the input, and the
    logit of the fit (N, h, w).
    """

    types: Tensor
    sides: Tensor
    fit: Tensor


class Tower(nn.Module):
    """A 3x3 convolution, groups of channels normalised over the grid, and what is positive of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(GROUPS, width, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.mix(x)))


class BoxHead(nn.Module):
    """Backbone maps {name: (N, C, h, w)} -> BoxMaps on the first map's grid.

    `names` from the finest map to the coarsest, `channels` of each; `stride_px` of the first one's cells.
    """

    def __init__(
        self, names: tuple[str, ...], channels: tuple[int, ...], types: int, stride_px: int, width: int
    ) -> None:
        super().__init__()
        self.names, self.channels, self.stride_px = names, channels, stride_px
        self.standard = nn.ModuleList(Standardised(count) for count in channels)
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.body, self.naming, self.measuring = Tower(width), Tower(width), Tower(width)
        self.types = nn.Conv2d(width, types, 3, padding=1)
        self.sides = nn.Conv2d(width, 5, 3, padding=1)
        assert self.types.bias is not None
        nn.init.constant_(self.types.bias, RARE)

    @property
    def standards(self) -> list[Standardised]:
        """What standardises each map, in the maps' order."""
        return [module for module in self.standard if isinstance(module, Standardised)]

    def forward(self, maps: dict[str, Tensor]) -> BoxMaps:
        body = self.body(top_down(maps, self.names, self.standard, self.lateral))
        measured = self.sides(self.measuring(body))
        sides = torch.exp(measured[:, :4].clamp(max=LONGEST)) * (2.0 * self.stride_px)
        return BoxMaps(self.types(self.naming(body)), sides, measured[:, 4])

    def answers(self, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Scores (N, K, cells) in 0..1 and boxes (N, 4, cells): left, top, right, bottom in px of the input."""
        found = self(maps)
        scores = torch.sqrt(found.types.sigmoid() * found.fit.sigmoid()[:, None])
        centres = self.centres(found.fit.shape[1], found.fit.shape[2]).to(found.sides.device)
        signs = torch.tensor([-1.0, -1.0, 1.0, 1.0], device=found.sides.device).view(1, 4, 1)
        return scores.flatten(2), torch.cat([centres, centres])[None] + signs * found.sides.flatten(2)

    def centres(self, high: int, wide: int) -> Tensor:
        """Middles of the cells (2, h * w): x and y in px of the input."""
        down, across = torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij")
        return (torch.stack([across.flatten(), down.flatten()]).float() + 0.5) * self.stride_px
