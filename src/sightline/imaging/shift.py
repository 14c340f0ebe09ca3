"""A shift: damage of a JPEG that is still valid code, so that no decoder complains, found by the edge that it leaves.

A JPEG codes the mean of each block as the difference from the block before (T.81, F.1.2.1). A wrong difference shifts
all that follows in the order of coding by the same amount, in brightness or colour. The edge of what is shifted runs
along the blocks: above the damaged row to the right of the damage, below that row to its left, and between them up the
damaged block's side. No scene has such an edge on just these pixels (docs/decisions/0032).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]
BlockMap = NDArray[np.bool_]

STEPS = (8, 12, 18, 27, 40)  # levels from which blocks count as different; the shift is less than `UP` times as much
UP = 4
MOST, FEW = 0.8, 0.3  # shares of blocks that differ where they must, and where they must not
PART = 0.6  # the share that differs on either side of the damage
MIN_UNSATURATED = 0.5  # of the edge's blocks that are neither white nor black: these hide a shift
NOISE = 0.1  # the share of all other blocks that may differ: beyond it, the picture's own structure does
SIDE = 4  # blocks on either side of the damage, without whose own side the edge is seen more clearly:
CLEAR_STEP, CLEAR_MOST, CLEAR_FEW, CLEAR_NOISE = 8, 0.9, 0.25, 0.4
WHITE, BLACK = 250, 5
TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)  # ITU-T T.871


def is_shifted(pixels: NDArray[np.uint8], block: tuple[int, int]) -> bool:
    """Whether pixels (H, W, C), coded in blocks of (height, width) px, have the edge of a shift."""
    high, wide = block
    tops, count = np.arange(high, pixels.shape[0] - 2, high), pixels.shape[1] // wide
    if len(tops) < 2 or count < 3 * SIDE:
        return False
    lines = _lines(pixels, tops, wide)
    ends = np.maximum(lines[2], lines[3]), np.minimum(lines[2], lines[3])
    dark, bright = ends[0].max(axis=2) < WHITE, ends[1].min(axis=2) > BLACK
    jumps = np.ascontiguousarray(np.moveaxis(_jumps(lines, block), 2, 0))
    for channel, jump in enumerate(jumps):
        for sign in (1, -1):
            # A shift to the bright leaves white as it is, and one of colour both ends.
            unsaturated = dark & bright if len(jumps) > 1 else dark if sign > 0 else bright
            for row, column, step in _edges(sign * jump, unsaturated):
                if not column or sign * _side(pixels, tops[row], column * wide, block)[channel] > step:
                    return True
    return False


def _edges(jump: Levels, unsaturated: BlockMap) -> Iterator[tuple[int, int, int]]:
    """Rows of blocks, columns and steps at which jumps (R, N) may be the edge of a shift; column 0: they surely are."""
    rows, count = np.arange(len(jump) - 1), jump.shape[1]
    for step in STEPS:
        differ = jump > step
        number = differ.sum(axis=1, dtype=np.int32)
        rows = rows[
            number[rows] + number[rows + 1] >= MOST * MIN_UNSATURATED * count
        ]  # of a larger step, there are no others
        if not len(rows):
            return
        pairs = number[rows] + number[rows + 1]
        others = (np.count_nonzero(np.abs(jump) > step) - pairs) / jump.size
        if step == CLEAR_STEP:
            maybe = rows[(pairs >= CLEAR_MOST * count) & (others <= CLEAR_NOISE)]
            yield from ((row, 0, step) for row in maybe[_are_clear(np.stack([differ[maybe], differ[maybe + 1]]))])
        for row in rows[others <= NOISE]:
            pair = slice(row, row + 2)
            hits = differ[pair] & (jump[pair] < UP * step)
            yield from ((row, column, step) for column in _columns(hits, differ[pair], unsaturated[pair]))


def _are_clear(differ: BlockMap) -> BlockMap:
    """Of which edges, above and below the damage (2, M, N), nearly all blocks differ where they must, and no others."""
    before = np.pad(np.cumsum(differ, axis=2, dtype=np.int32), ((0, 0), (0, 0), (1, 0)))
    at, count = np.arange(before.shape[2]), differ.shape[2]
    after = before[..., -1:] - before
    found = (after[0] >= CLEAR_MOST * (count - at)) & (before[1] >= CLEAR_MOST * at)
    found &= (before[0] <= CLEAR_FEW * at) & (after[1] <= CLEAR_FEW * (count - at))
    return np.asarray(found[:, SIDE : count - SIDE + 1].any(axis=1))


def _columns(hits: BlockMap, differ: BlockMap, unsaturated: BlockMap) -> NDArray[np.intp]:
    """Columns in which the damage may be, by the edge (2, N) above and below its row; its own block may be anything."""
    rows = np.stack([hits & unsaturated, unsaturated, differ & unsaturated])
    before = np.concatenate([np.zeros((3, 2, 1), np.int64), np.cumsum(rows, axis=2)], axis=2)
    after = before[..., -1:] - before
    left, right = before[..., 1:-1], after[..., 2:]  # of columns 1 to N - 1
    hit, usable = right[0, 0] + left[0, 1], right[1, 0] + left[1, 1]
    found = (hit >= MOST * usable) & (usable >= max(SIDE, MIN_UNSATURATED * hits.shape[1]))
    found &= (right[0, 0] >= PART * right[1, 0]) & (left[0, 1] >= PART * left[1, 1])
    found &= left[2, 0] + right[2, 1] <= FEW * (left[1, 0] + right[1, 1])
    return np.flatnonzero(found) + 1


def _lines(pixels: NDArray[np.uint8], tops: NDArray[np.intp], wide: int) -> Levels:
    """Means (6, R, N, C) of each block over its lines from the third above to the third below the edges at `tops`."""
    end = pixels.shape[1] // wide * wide
    # A quarter of the columns tells as much, and sums of slices are quicker than a mean over a short axis.
    columns = range(0, wide, max(1, wide // 4))
    total = np.zeros((6, len(tops), end // wide, pixels.shape[2]), np.uint16)
    for line, first in zip(total, tops[0] + np.arange(-3, 3), strict=True):
        for column in columns:
            line += pixels[first : first + tops[-1] : tops[0], column:end:wide]
    return np.asarray(total, np.float32) / np.float32(len(columns))


def _jumps(lines: Levels, block: tuple[int, int]) -> Levels:
    """Levels (..., C) by which lines (6, ..., C) jump in their middle, beyond the picture's own slope.

    Of pictures with three channels, in brightness and colour as well: (..., 6).
    """
    fine = lines[3] - lines[2] - (lines[2] - lines[1] + lines[4] - lines[3]) / 2
    if lines.shape[-1] != 3:
        return np.asarray(fine)
    # Where colour is coarser than brightness, decoders smooth it: there it jumps over four lines.
    coarse = lines[4] - lines[1] - (lines[1] - lines[0] + lines[5] - lines[4]) * 1.5
    colour = (fine if block == (8, 8) else coarse) @ TO_YCC.T
    colour[..., 0] = fine @ TO_YCC[0]
    return np.concatenate([colour @ np.linalg.inv(TO_YCC).T, colour], axis=-1)


def _side(pixels: NDArray[np.uint8], top: int, left: int, block: tuple[int, int]) -> Levels:
    """`_jumps` (C) over the left side of the block at (top, left)."""
    around = pixels[top : top + block[0], left - 3 : left + 3]
    return _jumps(np.moveaxis(around, 1, 0).mean(axis=1, dtype=np.float32), block)
