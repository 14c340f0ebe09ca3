"""The alignment test: whether parts should be brought into one pose before they are read. Good parts alone decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.imaging.image import read_image
from sightline.runtime.alignment import (
    ASPECT_TOLERANCE,
    Golden,
    Grey,
    Pose,
    find_pose,
    small_grey,
    small_size,
    structure_of,
    why_not,
)
from sightline.train.images.loader import Part

Align = Literal["auto", "never", "always"]

MAX_PARTS, MIN_PARTS = 24, 8  # half of them choose the golden part, the other half judge
WIDEST_SHIFT, TRUE_CORRELATION = 0.25, 0.5  # unlike parts stay below this correlation, like ones far above
PROBED = 4  # parts that are tried first: unlike parts are the usual case, and the wide search is slow
SEARCHED_DEG = (8.0, 180.0)  # a wide search is slower and finds wrong turns of near-symmetric parts: only if needed
SUCCESS_SHARE = 0.9
MOVED_SHARE = 0.005  # of the longest side: less is within what the features pool over
LESS_DIFFERENCE = 0.2
REPEATS = 0.5  # of its own structure found again elsewhere: a texture fits at many places, so it has no pose
ROOM = 1.5  # times the farthest motion of good parts is still believed on the line
MIN_SHIFT, MIN_ANGLE_DEG = 0.02, 1.0  # believed even where good parts hardly moved
CORRELATION_SLACK, CORRELATION_FLOOR = 0.15, 0.3  # a defect takes some of the correlation away
TURNED_DEG = 0.25  # parts that turn by less are shifted only: one motion less to go wrong


@dataclass(frozen=True)
class Alignment:
    """The golden part, or None where parts are read as they lie; and why, with the figures."""

    golden: Golden | None
    reason: str


@dataclass(frozen=True)
class _Tried:
    """Structures (h, w) of parts and the pose found for each; None where none was believed."""

    golden: Golden
    structures: list[Grey]
    poses: list[Pose | None]

    @property
    def found(self) -> list[Pose]:
        return [pose for pose in self.poses if pose is not None]

    @property
    def share(self) -> float:
        return len(self.found) / max(1, len(self.poses))


def try_alignment(parts: Sequence[Part], mode: Align, seed: int) -> Alignment:
    """Whether alignment helps on these good parts: it succeeds, it moves them, and it makes them more alike.

    Looks at `MAX_PARTS` of them at most, each once, as small grey images.
    """
    if mode == "never":
        return Alignment(None, "off: the setting says never")
    order = np.random.default_rng(seed).permutation(len(parts))[:MAX_PARTS]
    greys, other_views = _small_greys([parts[index] for index in order])
    if len(greys) < (MIN_PARTS if mode == "auto" else 2):
        return Alignment(None, f"off: {len(greys)} good parts of one shape are too few to test it")
    half = len(greys) // 2
    image, repeats = _golden_of(greys[:half] if mode == "auto" else greys)
    if mode == "auto" and repeats > REPEATS:
        return Alignment(None, f"off: the part repeats itself ({repeats:.2f} of its structure), so it fits anywhere")
    structures = [structure_of(grey) for grey in greys]
    probed = structures[half : half + PROBED]
    if mode == "auto" and len(found := _best_try(image, probed).found) < len(probed) / 2:
        return Alignment(None, f"off: {len(found)} of {len(probed)} good parts could be aligned to another")
    tried = _best_try(image, structures)
    if not tried.found:
        return Alignment(None, "off: no good part could be aligned to another")
    share = len(tried.found) / (len(greys) + other_views)
    return _judge(tried, share, half if mode == "auto" else None)


def _judge(tried: _Tried, share: float, half: int | None) -> Alignment:
    """`half`: the first parts, which chose the golden one and so do not count; None: alignment is wanted anyway."""
    count = len(tried.poses)
    moved = float(np.median([_motion(pose, tried.golden) for pose in tried.found]))
    figures = f"{share:.0%} of {count} good parts could be aligned, half of them moved by over {moved:.1%} of the side"
    if half is None:
        return Alignment(_with_limits(tried), f"on: the setting says always; {figures}")
    if share < SUCCESS_SHARE:
        return Alignment(None, f"off: {figures}; at least {SUCCESS_SHARE:.0%} must be")
    if moved < MOVED_SHARE:
        return Alignment(None, f"off: {figures}; under {MOVED_SHARE:.1%} there is nothing to gain")
    before, after = _differences(tried, half)
    fall = 1 - after / max(before, 1e-6)
    figures += f", and {count - half} held-out parts differ {'less' if fall >= 0 else 'more'} by {abs(fall):.0%}"
    if fall < LESS_DIFFERENCE:
        return Alignment(None, f"off: {figures}; a fall of {LESS_DIFFERENCE:.0%} is needed")
    return Alignment(_with_limits(tried), f"on: {figures}")


def _small_greys(parts: Sequence[Part]) -> tuple[list[NDArray[np.uint8]], int]:
    """Small grey images (h, w) of the parts whose shape is the usual one, and how many have another."""
    images: list[NDArray[np.uint8]] = []
    for part in parts:
        try:
            image, _ = read_image(part.sample.path, part.full_scale)
        except InputError:
            continue  # warned about when it is its turn
        images.append(small_grey(image, small_size(image.shape[:2])))
    if not images:
        return [], 0
    aspects = np.array([image.shape[0] / image.shape[1] for image in images])
    default = float(np.median(aspects))
    size = images[int(np.argmin(np.abs(aspects - default)))].shape
    alike = [
        np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        for image, aspect in zip(images, aspects, strict=True)
        if abs(aspect / default - 1) <= ASPECT_TOLERANCE and min(size) >= 8
    ]
    return alike, len(images) - len(alike)


def _golden_of(greys: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], float]:
    """The medoid: the part that differs least from the others as they lie; and how much of it repeats, 0..1."""
    flat = np.stack([structure_of(grey).ravel() for grey in greys])
    differences = [float(np.abs(flat - row).mean(axis=1).sum()) for row in flat]
    chosen = greys[int(np.argmin(differences))]
    structure = structure_of(chosen)
    high, wide = structure.shape
    top, left = high // 4, wide // 4
    piece = structure[top : top + high // 2, left : left + wide // 2]
    found = cv2.matchTemplate(structure, piece, cv2.TM_CCOEFF_NORMED)
    reach = max(4, max(high, wide) // 32)
    found[max(0, top - reach) : top + reach + 1, max(0, left - reach) : left + reach + 1] = -1
    return chosen, max(0.0, float(found.max()))


def _best_try(image: NDArray[np.uint8], structures: list[Grey]) -> _Tried:
    """Poses of all parts, by the narrowest search that succeeds; shifts alone where parts do not turn."""
    for angle in SEARCHED_DEG:
        tried = _try(Golden(image, "rigid", WIDEST_SHIFT, angle, TRUE_CORRELATION), structures)
        if tried.share >= SUCCESS_SHARE:
            break
    turns = [abs(pose.angle_deg) for pose in tried.found]
    if turns and np.percentile(turns, 90) < TURNED_DEG:
        shifted = _try(replace(tried.golden, motion="translation", max_angle_deg=0.0), structures)
        return shifted if shifted.share >= tried.share else tried
    return tried


def _try(golden: Golden, structures: list[Grey]) -> _Tried:
    poses = [find_pose(structure, golden) for structure in structures]
    return _Tried(golden, structures, [pose if pose and not why_not(pose, golden) else None for pose in poses])


def _motion(pose: Pose, golden: Golden) -> float:
    """How far the pose moves the frame, on average over its corners, as a share of the longest side."""
    high, wide = golden.size
    corners = np.array([(0, 0, 1), (wide - 1, 0, 1), (0, high - 1, 1), (wide - 1, high - 1, 1)], float)
    return float(np.linalg.norm(corners @ pose.warp.T - corners[:, :2], axis=1).mean()) / max(golden.size)


def _differences(tried: _Tried, half: int) -> tuple[float, float]:
    """How far held-out parts lie from their own mean, before and after alignment, where all of them have pixels.

    A part that could not be aligned stays as it lies in both: on the line it would, too.
    """
    size, lying, aligned = tried.golden.size, tried.structures[half:], []
    covered = np.ones(size, np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for structure, pose in zip(lying, tried.poses[half:], strict=True):
        warp = np.eye(2, 3) if pose is None else pose.warp
        aligned.append(cv2.warpAffine(structure, warp, size[::-1], flags=flags))
        covered &= np.asarray(cv2.warpAffine(np.ones(size, np.uint8), warp, size[::-1], flags=flags), np.uint8)
    if not covered.any():
        return 1.0, 1.0
    # Smoothed alike: resampling alone takes noise away, and must not count as a gain.
    stacks = (
        np.stack([cv2.GaussianBlur(np.asarray(one, np.float32), (0, 0), 1.0)[covered > 0] for one in kind])
        for kind in (lying, aligned)
    )
    before, after = (float(np.abs(stack - stack.mean(axis=0)).mean()) for stack in stacks)
    return before, after


def _with_limits(tried: _Tried) -> Golden:
    """What the line believes: a little more than good parts showed."""
    poses = tried.found
    shift = max(MIN_SHIFT, ROOM * max(pose.shift for pose in poses))
    turn = max(MIN_ANGLE_DEG, ROOM * max(abs(pose.angle_deg) for pose in poses))
    least = max(CORRELATION_FLOOR, min(pose.correlation for pose in poses) - CORRELATION_SLACK)
    return replace(
        tried.golden,
        max_shift=min(0.5, shift),
        max_angle_deg=min(180.0, turn) if tried.golden.motion == "rigid" else 0.0,
        least_correlation=least,
    )
