"""Arrays of numpy or, where a GPU holds them, of torch: what heads are fitted and applied with.

Heads are written once, in what both spell alike (operators, indexing, `reshape`, `sum(axis=)`, `clip(min=)`); here is
what they spell differently. torch is never imported: it is only asked for where an array is its tensor.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = Any  # numpy.ndarray, or torch.Tensor


def namespace(x: Array) -> Any:
    """The module whose functions take `x`: numpy or torch."""
    return np if isinstance(x, np.ndarray | np.generic) else sys.modules["torch"]


def to_numpy(x: Array) -> NDArray[Any]:
    """The values as an array of numpy, without a copy where they are one."""
    return np.asarray(x) if namespace(x) is np else np.asarray(x.detach().cpu().numpy())


def like(values: NDArray[Any], x: Array) -> Array:
    """An array of numpy as one of the kind and on the device of `x`, its type kept."""
    xp = namespace(x)
    return values if xp is np else xp.as_tensor(values, device=x.device)


def empty(shape: Sequence[int], x: Array, dtype: str | None = None) -> Array:
    """An array without values, of the kind and on the device of `x`, and of its type where none is named."""
    xp = namespace(x)
    kind = x.dtype if dtype is None else getattr(xp, dtype)
    return np.empty(shape, kind) if xp is np else xp.empty(tuple(shape), dtype=kind, device=x.device)


def joined(parts: Sequence[Array], axis: int = 0) -> Array:
    """Arrays one after another."""
    return namespace(parts[0]).concatenate(list(parts), axis=axis)


def cast(x: Array, dtype: str) -> Array:
    """The values in another type, by its name: float16, float32 or float64."""
    xp = namespace(x)
    return x.astype(dtype, copy=False) if xp is np else x.to(getattr(xp, dtype))


def highest(x: Array, axis: int) -> Array:
    """The largest value along an axis; not a number where one of them is not."""
    return x.max(axis=axis) if namespace(x) is np else x.amax(axis)


def top(x: Array, count: int) -> tuple[Array, Array]:
    """The `count` largest values along the last axis, falling, and their indices."""
    if namespace(x) is not np:
        found = x.topk(count)
        return found.values, found.indices
    size = x.shape[-1]
    indices = np.argpartition(x, min(size - count, size - 1), axis=-1)[..., size - count :]
    values = np.take_along_axis(x, indices, axis=-1)
    order = np.argsort(-values, axis=-1, kind="stable")
    return np.take_along_axis(values, order, axis=-1), np.take_along_axis(indices, order, axis=-1)


def pool(x: Array) -> Array:
    """Mean over 3x3 cells, those beyond the border counted as zero: (N, C, h, w) -> same.

    The zeros pull the keys of border cells together: what a picture's edge cuts in two is rare in good parts
    and no defect (docs/decisions/0006).
    """
    across = x + 0.0
    across[..., 1:] += x[..., :-1]
    across[..., :-1] += x[..., 1:]
    down = across + 0.0
    down[..., 1:, :] += across[..., :-1, :]
    down[..., :-1, :] += across[..., 1:, :]
    down /= 9.0
    return down


def enlarge(x: Array, like: Array) -> Array:
    """Bilinear resize of (N, C, h, w) to the grid of `like`; half-pixel centres, edges repeated."""
    xp, (high, wide) = namespace(x), like.shape[-2:]
    if x.shape[-2:] == like.shape[-2:]:
        return x
    if xp is not np:
        return xp.nn.functional.interpolate(x, size=(high, wide), mode="bilinear", align_corners=False)
    across = (x.reshape(-1, x.shape[-1]) @ _between(x.shape[-1], wide).T).reshape(*x.shape[:-1], wide)
    return np.matmul(_between(x.shape[-2], high), across)


@cache
def _between(size: int, wanted: int) -> NDArray[np.float32]:
    """Weights (wanted, size) of a bilinear resize along one axis."""
    place = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    before = np.floor(place).astype(int)
    weights = np.zeros((wanted, size), np.float32)
    weights[np.arange(wanted), before] = 1 - (place - before)
    weights[np.arange(wanted), np.minimum(before + 1, size - 1)] += place - before
    return weights


def smooth(heat: Array, kernel: NDArray[np.float32]) -> Array:
    """Smoothing of (N, 1, h, w) by a symmetric kernel (2 r + 1,) along both axes, edges repeated."""
    radius = len(kernel) // 2
    high, wide = heat.shape[-2:]
    across = np.clip(np.arange(-radius, wide + radius), 0, wide - 1)
    down = np.clip(np.arange(-radius, high + radius), 0, high - 1)
    framed = heat[..., down, :][..., across]
    rows = sum(float(k) * framed[..., i : i + wide] for i, k in enumerate(kernel))
    return sum(float(k) * rows[..., i : i + high, :] for i, k in enumerate(kernel))


class Numbers:
    """What holds fitted arrays: it can be brought to the CPU as a whole."""

    def on_cpu(self) -> Self:
        """The same with every array as one of numpy."""
        other = copy.copy(self)
        vars(other).update({name: _on_cpu(value) for name, value in vars(self).items()})
        return other


def _on_cpu(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _on_cpu(inner) for name, inner in value.items()}
    if isinstance(value, Numbers):
        return value.on_cpu()
    return to_numpy(value) if hasattr(value, "detach") else value
