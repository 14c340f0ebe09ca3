"""Bringing a part into the pose of the golden part before it is looked at, and its heat map back to where it lay.

One implementation for the lab and the line. The motion is estimated on small grey images without their slow shades:
phase correlation at a few angles finds the neighbourhood, ECC the rest (Evangelidis and Psarakis, "Parametric image
alignment using enhanced correlation coefficient maximization", TPAMI 2008). Neither sees brightness or contrast. The
image itself is resampled once.
"""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.card import GOLDEN_SIDE_PX, GoldenCard
from sightline.imaging.image import Image

Warp = NDArray[np.float64]
Grey = NDArray[np.float32]

COARSE = 4  # the first search runs on every fourth px of the small image
FINE_SIGMA, SHADE_PX = 1.0, 15  # of the small image: noise is finer, shades are coarser, structure lies between
ANGLE_STEP_DEG = 4.0  # of the first search: ECC finds its way over half of it
GUESSES = 4  # of the first search that are followed up, until one fits
ECC_REDUCTION = 2  # twice as fast as on the whole small image, and a quarter of a px of 800 is enough
ECC_ITERATIONS, ECC_EPSILON, ECC_BLUR = 20, 1e-4, 3
ASPECT_TOLERANCE = 0.05  # an image whose aspect is this far from the golden part's shows another view
MAX_SIDE_PX = 32766  # OpenCV resamples nothing larger
MAX_GREY_SHARE = 8  # of a resize by plain averaging; larger images are thinned out first, which costs less


@dataclass(frozen=True)
class Golden:
    """The part that all others are brought into the pose of, and what counts as brought there.

    `image` (h, w) uint8 grey, its longest side at most 256 px; `max_shift` of the centre as a share of the longest
    side; `least_correlation` of the structure, -1..1.
    """

    image: NDArray[np.uint8] = field(repr=False)
    motion: Literal["translation", "rigid"]
    max_shift: float
    max_angle_deg: float
    least_correlation: float

    @classmethod
    def of(cls, card: GoldenCard) -> Golden:
        """From a recipe's card. Raises ValueError where its image is none."""
        try:
            data = base64.b64decode(card.image, validate=True)
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
        except (binascii.Error, cv2.error) as error:
            raise ValueError(f"the golden part's image cannot be decoded: {error}") from error
        if image is None:
            raise ValueError("the golden part's image cannot be decoded")
        return cls(np.asarray(image, np.uint8), card.motion, card.max_shift, card.max_angle_deg, card.least_correlation)

    def card(self) -> GoldenCard:
        """For a recipe's card."""
        _, data = cv2.imencode(".png", self.image)
        text = base64.b64encode(data.tobytes()).decode()
        return GoldenCard(
            image=text,
            motion=self.motion,
            max_shift=self.max_shift,
            max_angle_deg=self.max_angle_deg,
            least_correlation=self.least_correlation,
        )

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the small image."""
        return self.image.shape[0], self.image.shape[1]

    @cached_property
    def structure(self) -> Grey:
        """`structure_of` the image, made once."""
        return structure_of(self.image)


@dataclass(frozen=True)
class Pose:
    """How a part lies: `warp` (2, 3) takes px of the golden frame to px of the image, both of the same size.

    `shift` is how far the centre moved, as a share of the longest side; `angle_deg` how far the part is turned.
    """

    warp: Warp
    correlation: float
    shift: float
    angle_deg: float


@dataclass(frozen=True)
class Aligned:
    """An image (H, W, 3) in the golden part's pose, or as it came where that failed (`ok` False, with the reason).

    `warp` (2, 3) takes its px to px of the image that came.
    """

    image: Image = field(repr=False)
    warp: Warp
    correlation: float
    ok: bool
    reason: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about it."""
        if self.ok:
            return ()
        return (
            f"could not be aligned to the golden part ({self.reason}), so it was inspected without alignment. "
            "Check the part's position and the camera",
        )


def small_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the small grey version of images (H, W)."""
    scale = min(1.0, GOLDEN_SIDE_PX / max(image_size))
    return max(1, round(image_size[0] * scale)), max(1, round(image_size[1] * scale))


def small_grey(image: Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The image (H, W, 3) as grey (h, w) uint8, shrunk by area."""
    step = max(1, min(image.shape[0] // size[0], image.shape[1] // size[1]) // MAX_GREY_SHARE)
    grey = cv2.cvtColor(image[::step, ::step], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def structure_of(grey: NDArray[np.uint8]) -> Grey:
    """Grey (h, w) without noise and slow shades, mean 0 and deviation 1."""
    values = grey.astype(np.float32)
    side = (SHADE_PX, SHADE_PX)  # twice a box is near a Gaussian, and costs a quarter
    band = cv2.GaussianBlur(values, (0, 0), FINE_SIGMA) - cv2.blur(cv2.blur(values, side), side)
    return np.asarray((band - band.mean()) / max(float(band.std()), 1e-3), np.float32)


def rescaled(warp: Warp, size: tuple[int, int], to: tuple[int, int]) -> Warp:
    """A warp (2, 3) between images of `size` (h, w), for versions of them of another size; px count by centres."""
    fy, fx = to[0] / size[0], to[1] / size[1]
    there = np.array([[fx, 0, 0.5 * fx - 0.5], [0, fy, 0.5 * fy - 0.5], [0, 0, 1]])
    return np.asarray((there @ np.vstack([warp, (0, 0, 1)]) @ np.linalg.inv(there))[:2])


def find_pose(structure: Grey, golden: Golden) -> Pose | None:
    """Pose of a part whose small image has this structure (h, w); None where no motion fits at all."""
    best: Pose | None = None
    for guess in _guesses(structure, golden):
        pose = _refined(structure, golden, guess)
        if pose is not None and (best is None or pose.correlation > best.correlation):
            best = pose
        if best is not None and best.correlation >= golden.least_correlation:
            break
    return best


def _refined(structure: Grey, golden: Golden, guess: Warp) -> Pose | None:
    """The pose near a guess by ECC; None where that moves away from any fit, or there is no structure."""
    size = _reduced(golden.size, ECC_REDUCTION)
    first = rescaled(guess, golden.size, size)
    # The guess is taken out of the image first: ECC loses its way in turns beyond 90 degrees.
    image = cv2.warpAffine(_shrunk(structure, size), first, size[::-1], flags=_BACKWARDS)
    model = cv2.MOTION_EUCLIDEAN if golden.motion == "rigid" else cv2.MOTION_TRANSLATION
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_ITERATIONS, ECC_EPSILON)
    template, start = _shrunk(golden.structure, size), np.eye(2, 3, dtype=np.float32)
    try:
        correlation, found = cv2.findTransformECC(template, image, start, model, stop, None, ECC_BLUR)  # type: ignore[call-overload]
    except cv2.error:
        return None
    if not (math.isfinite(correlation) and np.isfinite(found).all()):
        return None
    whole = np.vstack([first, (0, 0, 1)]) @ np.vstack([np.asarray(found, np.float64), (0, 0, 1)])
    warp = rescaled(whole[:2], size, golden.size)
    centre = (np.array(golden.size[::-1]) - 1) / 2
    moved = warp[:, :2] @ centre + warp[:, 2] - centre
    angle = math.degrees(math.atan2(warp[1, 0] - warp[0, 1], warp[0, 0] + warp[1, 1]))
    return Pose(warp, float(correlation), float(np.hypot(*moved)) / max(golden.size), angle)


def _reduced(size: tuple[int, int], reduction: int) -> tuple[int, int]:
    return max(8, size[0] // reduction), max(8, size[1] // reduction)


def _shrunk(values: Grey, size: tuple[int, int]) -> Grey:
    if values.shape == size:
        return values
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _guesses(structure: Grey, golden: Golden) -> list[Warp]:
    """The few warps (2, 3) that fit best among a row of angles, each with the best shift by phase correlation."""
    size = _reduced(golden.size, COARSE)
    template, image = _shrunk(golden.structure, size), _shrunk(structure, size)
    smooth, smooth_image = (cv2.GaussianBlur(values, (0, 0), 1.0) for values in (template, image))
    steps = math.ceil(golden.max_angle_deg / ANGLE_STEP_DEG) if golden.motion == "rigid" else 0
    window = cv2.createHanningWindow(size[::-1], cv2.CV_32F)
    # A narrower view of the template than of the image: where parts turn, what lies far from the centre moves most.
    narrow = template * window**2
    centre = ((size[1] - 1) / 2, (size[0] - 1) / 2)
    ranked = []
    for step in range(-steps, steps + 1):
        warp = np.asarray(cv2.getRotationMatrix2D(centre, -step * ANGLE_STEP_DEG, 1.0), np.float64)
        turned = cv2.warpAffine(image, warp, size[::-1], flags=_BACKWARDS)
        # OpenCV may multiply the window into its inputs: the template is needed again.
        shift, _ = cv2.phaseCorrelate(narrow.copy(), turned, window)
        warp[:, 2] += warp[:, :2] @ np.array(shift)
        # The height of the phase's peak says little: streaks and windows raise it, too.
        moved = np.asarray(cv2.warpAffine(smooth_image, warp, size[::-1], flags=_BACKWARDS), np.float32)
        fit = float((moved * smooth).mean()) / max(float(moved.std() * smooth.std()), 1e-6)
        ranked.append((fit, step, warp))
    return [rescaled(warp, size, golden.size) for _, _, warp in sorted(ranked, reverse=True)[:GUESSES]]


_BACKWARDS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def align(image: Image, golden: Golden) -> Aligned:
    """The image (H, W, 3) uint8 in the golden part's pose, same size; never raises.

    What moves in from beyond the image repeats its edge: parts mostly lie on something plain, which so goes on, where
    a border of one colour would be an edge that no good part has at that place.
    """
    size = image.shape[:2]
    ratio = size[0] / size[1] / (golden.size[0] / golden.size[1])
    if not 1 / (1 + ASPECT_TOLERANCE) <= ratio <= 1 + ASPECT_TOLERANCE or max(size) > MAX_SIDE_PX:
        return _failed(image, 0.0, f"an image of {size[1]} x {size[0]} px is another view")
    pose = find_pose(structure_of(small_grey(image, golden.size)), golden)
    if pose is None:
        return _failed(image, 0.0, "nothing in it fits")
    reason = why_not(pose, golden)
    if reason:
        return _failed(image, pose.correlation, reason)
    warp = rescaled(pose.warp, golden.size, size)
    # OpenCV resamples four channels more than twice as fast as three.
    four = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
    moved = cv2.warpAffine(four, warp, size[::-1], flags=_BACKWARDS, borderMode=cv2.BORDER_REPLICATE)
    return Aligned(np.asarray(cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB), np.uint8), warp, pose.correlation, True)


def why_not(pose: Pose, golden: Golden) -> str:
    """Why a pose does not count as found; empty where it does."""
    if pose.correlation < golden.least_correlation:
        return f"correlation {pose.correlation:.2f}, good parts have at least {golden.least_correlation:.2f}"
    if pose.shift > golden.max_shift:
        return f"shifted by {pose.shift:.1%} of the side, good parts by at most {golden.max_shift:.1%}"
    if abs(pose.angle_deg) > golden.max_angle_deg:
        return f"turned by {abs(pose.angle_deg):.1f} degrees, good parts by at most {golden.max_angle_deg:.1f}"
    return ""


def unmoved(image: Image) -> Aligned:
    """An image that need not be aligned."""
    return Aligned(image, np.eye(2, 3), 1.0, True)


def _failed(image: Image, correlation: float, reason: str) -> Aligned:
    return Aligned(image, np.eye(2, 3), correlation, False, reason)


def heat_back(heat: NDArray[np.float32], aligned: Aligned) -> NDArray[np.float32]:
    """Heat grid (h, w) over the aligned image -> over the image that came; 0 where that lies beyond the aligned."""
    if np.array_equal(aligned.warp, np.eye(2, 3)):
        return heat
    size = (heat.shape[0], heat.shape[1])
    warp = rescaled(aligned.warp, aligned.image.shape[:2], size)
    back = cv2.warpAffine(heat, warp, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    covered = cv2.warpAffine(np.ones(size, np.uint8), warp, size[::-1], flags=cv2.INTER_NEAREST)
    return np.where(covered > 0, back, np.float32(0)).astype(np.float32)
