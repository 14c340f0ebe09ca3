"""How far a part's outline is drawn from where it is, found by itself and by a marker beside it, and how far the view
that is inspected lies off: parts of real photos on a bench, seen by a camera that is held by hand.

`python benchmarks/bench_marker.py FOLDER ...` (photos of single parts, or their silhouettes, one set for each folder)
writes bench_marker.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.runtime.handheld import Placement, State
from sightline.runtime.marker import draw_marker, project
from sightline.runtime.part_outline import find_parts

HERE = Path(__file__).parent
LONG, PX_PER_MM, SIZE_MM, SHOTS = 600, 8.0, 20.0, 12
WIDE, HIGH = 1280, 720


def ground_of(picture):
    """The median colour along a picture's rim."""
    return np.median(np.concatenate([picture[[0, -1]].reshape(-1, 3), picture[:, [0, -1]].reshape(-1, 3)]), axis=0)


def alone(picture, part):
    """The part and its nearest surroundings on one colour: what else is in a photo is no bench."""
    mask = cv2.drawContours(np.zeros(picture.shape[:2], np.float32), [part.contour], -1, 1.0, -1)
    share = cv2.GaussianBlur(cv2.dilate(mask, np.ones((19, 19))), (0, 0), 5)[..., None]
    return np.rint(picture * share + ground_of(picture) * (1 - share)).astype(np.uint8)


def bench_of(picture):
    """A bench (H, W, 3) with the photo's part and a marker to its right, and where the photo begins."""
    high, wide = picture.shape[:2]
    sheet, per_mm = draw_marker(7, SIZE_MM)
    sheet = cv2.resize(sheet, None, fx=PX_PER_MM / per_mm, fy=PX_PER_MM / per_mm, interpolation=cv2.INTER_AREA)
    scene = np.full((max(high, 400) + 200, wide + 500, 3), ground_of(picture), np.uint8)
    scene[100 : 100 + high, 60 : 60 + wide] = picture
    scene[150 : 150 + sheet.shape[0], wide + 120 : wide + 120 + sheet.shape[1]] = sheet
    return scene


def camera(random, size, turn, tilt):
    """A camera over the bench: turned by up to `turn` degrees, tilted by up to `tilt`, at another height."""
    high, wide = size
    fit = 0.92 * min(WIDE / wide, HIGH / high) * random.uniform(0.8, 1.0)
    about = np.eye(3)
    about[:2] = cv2.getRotationMatrix2D((wide / 2, high / 2), random.uniform(-turn, turn), fit)
    about[:2, 2] += (WIDE / 2 - wide / 2, HIGH / 2 - high / 2)
    lean = np.eye(3)
    lean[2, :2] = random.uniform(-tilt, tilt, 2)
    centre, back = np.eye(3), np.eye(3)
    centre[:2, 2], back[:2, 2] = (-WIDE / 2, -HIGH / 2), (WIDE / 2, HIGH / 2)
    return back @ lean @ centre @ about


def seen(scene, matrix, random):
    """A frame: blurred, noisy, and packed as JPEG as the page does."""
    colour = tuple(int(value) for value in scene[2, 2])
    frame = cv2.warpPerspective(scene, matrix, (WIDE, HIGH), flags=cv2.INTER_AREA, borderValue=colour)
    frame = cv2.GaussianBlur(frame, (0, 0), 0.8) + random.normal(0, 3, frame.shape)
    packed = cv2.imencode(".jpg", np.clip(frame, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def centre(contour):
    """The middle of what an outline (K, 2) encloses."""
    moments = cv2.moments(np.asarray(contour, np.float32).reshape(-1, 1, 2))
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"]


def measure(pictures):
    """Errors in shares of the part's width, how many frames were placed, and how far mm per px is off."""
    random = np.random.default_rng(0)
    hands = {"upright": (3.0, 0.0), "turned and tilted": (180.0, 1.2e-4)}
    found = {name: {by: {"drawn": [], "view": []} for by in ("marker", "outline")} for name in hands}
    scales, frames = [], dict.fromkeys(hands, 0)
    card = Card.model_construct(width=192, height=192)
    for picture in pictures:
        high, wide = picture.shape[:2]
        parts = find_parts(picture)
        if len(parts) != 1 or parts[0].is_cut:
            continue
        picture = alone(picture, parts[0])
        parts = find_parts(picture)
        if len(parts) != 1 or parts[0].is_cut:
            continue
        x, y, w, h = parts[0].box
        place = Placement((high, wide), (x / wide, y / high, w / wide, h / high))
        scene, bare = bench_of(picture), bench_of(picture)
        bare[:, wide + 60 :] = scene[2, 2]
        try:
            marker = place.learn(seen(scene, camera(random, scene.shape[:2], 0, 0), random), SIZE_MM)
        except InputError:
            continue
        middle, shift = np.array([(x + w / 2, y + h / 2)]), np.array((60, 100))
        for name, (turn, tilt) in hands.items():
            for _ in range(SHOTS):
                matrix = camera(random, scene.shape[:2], turn, tilt)
                there, outline = project(matrix, middle + shift)[0], project(matrix, parts[0].contour + shift)
                left, right = project(matrix, np.array([(x, y + h / 2), (x + w, y + h / 2)]) + shift)
                across = np.linalg.norm(right - left)
                frames[name] += 1
                for by, shown, beside in (("marker", scene, marker), ("outline", bare, None)):
                    one = place.present(seen(shown, matrix, random), card, beside)
                    if one.state is not State.READY:
                        continue
                    drawn, view = centre(one.parts[0].contour), one.onto_frame(middle)[0]
                    found[name][by]["drawn"].append(float(np.linalg.norm(drawn - centre(outline)) / across))
                    found[name][by]["view"].append(float(np.linalg.norm(view - there) / across))
                    if beside is not None:
                        scales.append(abs(one.lock.mm_per_px * PX_PER_MM - 1))
    return found, frames, scales


def read(folder):
    """Up to 30 pictures (H, W, 3) RGB of a folder, of `LONG` px a side."""
    pictures = []
    for file in sorted(Path(folder).rglob("*"))[:400]:
        picture = cv2.imread(str(file)) if file.suffix.lower() in {".jpg", ".jpeg", ".png", ".bmp"} else None
        if picture is not None:
            size = [round(side * LONG / max(picture.shape[:2])) for side in picture.shape[1::-1]]
            pictures.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)[..., ::-1].copy())
        if len(pictures) == 30:
            break
    return pictures


def told_of(folder):
    found, frames, scales = measure(read(folder))
    told = {"photos": "/".join(Path(folder).resolve().parts[-2:])}
    told["scale_off"] = [round(float(v), 4) for v in np.quantile(scales, [0.5, 0.95, 1])]
    for name, each in found.items():
        told[name] = {"frames": frames[name]} | {
            by: {"placed": len(one["drawn"])}
            | {what: [round(float(v), 4) for v in np.quantile(one[what], [0.5, 0.95, 1])] for what in ("drawn", "view")}
            for by, one in each.items()
        }
    return told


def main(folders):
    told = [told_of(folder) for folder in folders]
    (HERE / "bench_marker.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
