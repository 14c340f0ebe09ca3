"""Supervised synthetic defects: marked where they are, on the part, typed, seeded, and never samples."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.region import Rectangle, Region, Runs
from sightline.core.sample import Sample
from sightline.data.synthetic import generators
from sightline.data.synthetic.generators import GENERATORS, Donor, collect, contact_sheet
from sightline.data.synthetic.ground import survey
from sightline.data.synthetic.painters import VISIBLE, Synthetic
from sightline.data.synthetic.texture import perlin

Image = NDArray[np.uint8]
HIGH, WIDE = 160, 200


def _part(seed: int = 0, grey: bool = False) -> Image:
    """A textured disc with dark buttons on an even ground."""
    rng = np.random.default_rng(seed)
    image = rng.normal(60, 2, (HIGH, WIDE, 3))
    texture = cv2.GaussianBlur(rng.normal(160, 40, (HIGH, WIDE, 3)).astype(np.float32), (0, 0), 1.5)
    image[_disc()] = texture[_disc()]
    picture = np.clip(image, 0, 255).astype(np.uint8)
    for x, y in ((80, 70), (115, 60), (110, 100)):
        cv2.circle(picture, (x, y), 7, (90, 40, 30), -1, cv2.LINE_AA)
    return np.repeat(picture[..., :1], 3, axis=2) if grey else picture


def _disc() -> NDArray[np.bool_]:
    return np.asarray(np.hypot(*np.mgrid[-HIGH // 2 : HIGH // 2, -WIDE // 2 : WIDE // 2]) < 60)


def _donors() -> list[Donor]:
    """A pale spot inside a part, and a chip at the edge of another."""
    spotted, spot = _part(5), np.zeros((HIGH, WIDE), np.uint8)
    cv2.circle(spot, (100, 82), 6, 1, -1)
    spotted[spot > 0] = (250, 240, 120)
    chipped, chip = _part(6), np.zeros((HIGH, WIDE), np.uint8)
    cv2.circle(chip, (160, 80), 12, 1, -1)
    chipped[chip > 0] = (60, 60, 60)
    return [Donor.cut(spotted, spot > 0, "spot"), Donor.cut(chipped, chip > 0, "chip")]


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_marks_what_it_changes(name: str, grey: bool) -> None:
    image, donors = _part(grey=grey), _donors()
    before = image.copy()
    for seed in range(6):
        made = GENERATORS[name](image, np.random.default_rng(seed), donors)
        again = GENERATORS[name](image, np.random.default_rng(seed), donors)
        assert np.array_equal(made.image, again.image) and np.array_equal(made.mask, again.mask)
        assert np.array_equal(image, before), "the original was changed"
        assert made.image.dtype == np.uint8 and made.image.shape == image.shape
        assert made.mask.dtype == np.bool_ and made.mask.shape == image.shape[:2] and made.mask.any() and made.kind
        change = np.abs(made.image.astype(int) - image).max(axis=2)
        assert change[made.mask].mean() > VISIBLE
        far = cv2.dilate(made.mask.astype(np.uint8), np.ones((15, 15))) == 0
        assert change[far].max() <= 2 * VISIBLE, "a defect reaches beyond its mask"


@pytest.mark.parametrize("name", GENERATORS)
def test_most_defects_lie_on_the_part(name: str) -> None:
    image, donors = _part(), _donors()
    wide = cv2.dilate(_disc().astype(np.uint8), np.ones((9, 9))) > 0
    masks = [GENERATORS[name](image, np.random.default_rng(seed), donors).mask for seed in range(16)]
    assert sum((mask & wide).sum() > 0.5 * mask.sum() for mask in masks) >= 13


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("size", [(16, 16), (16, 200), (40, 30)])
def test_plain_and_tiny_pictures_get_a_visible_defect(name: str, value: int, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), value, np.uint8)
    for seed in range(3):
        made = GENERATORS[name](image, np.random.default_rng(seed), _donors())
        assert made.mask.any() and (made.image != image).any()


def test_cut_and_paste_keeps_type_and_place() -> None:
    image, donors = _part(), _donors()
    kinds = set()
    depth = survey(image).depth
    for seed in range(20):
        made = GENERATORS["cut and paste"](image, np.random.default_rng(seed), donors)
        kinds.add(made.kind)
        if made.kind == "spot":  # deep inside, where it was
            assert np.median(depth[made.mask]) > 0.4
            assert (made.mask & ~_disc()).sum() == 0
        if made.kind == "chip":
            assert (made.mask & ~_disc()).any() or np.median(depth[made.mask]) < 0.3
    assert {"spot", "chip"} <= kinds
    with pytest.raises(InputError, match="Mark some"):
        GENERATORS["cut and paste"](image, np.random.default_rng(0), [])


def test_a_bite_shows_the_background() -> None:
    image, found = _part(), 0
    for seed in range(30):
        made = GENERATORS["missing piece"](image, np.random.default_rng(seed), ())
        core = cv2.erode(made.mask.astype(np.uint8), np.ones((5, 5))) > 0
        if core.sum() > 10 and abs(float(np.median(made.image[core])) - 60) < 8:
            found += 1
            assert made.image[core].std(axis=0).mean() > 0.5, "the background's grain is missing"
    assert found >= 4


def test_the_ground_is_the_part_where_it_stands_out_and_the_picture_elsewhere() -> None:
    ground = survey(_part())
    assert ground.stands_out
    assert (ground.part == _disc()).mean() > 0.98
    assert ground.depth[80, 100] > 0.9 and ground.depth[5, 5] == 0
    assert abs(ground.outward(150, 80)) < 0.3 and abs(ground.outward(100, 130) - np.pi / 2) < 0.3
    texture = survey(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8))
    assert not texture.stands_out and texture.part.all() and texture.depth[30, 40] > texture.depth[1, 1]


def test_perlin_noise_is_nought_at_its_corners_smooth_and_within_bounds() -> None:
    noise = perlin((128, 192), (4, 6), np.random.default_rng(0))
    assert noise.shape == (128, 192) and noise.dtype == np.float32
    assert np.abs(noise[::32, ::32]).max() < 1e-6
    assert 0.4 < np.abs(noise).max() <= 1
    assert max(np.abs(np.diff(noise, axis=axis)).max() for axis in (0, 1)) < 0.15
    at = 37, 101  # one pixel by hand
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, 2 * np.pi, (5, 7))
    y, x = at[0] / 32, at[1] / 32
    total = 0.0
    for row in (1, 2):
        for column in (3, 4):
            v, u = y - row, x - column
            fade = [6 * t**5 - 15 * t**4 + 10 * t**3 for t in (1 - abs(v), 1 - abs(u))]
            total += fade[0] * fade[1] * (np.sin(angles[row, column]) * v + np.cos(angles[row, column]) * u)
    assert noise[at] == pytest.approx(np.sqrt(2) * total, abs=1e-5)


def test_made_defects_are_no_samples() -> None:
    """No public function takes or gives a Sample, but for `collect`, which takes training samples only."""
    image, donors = _part(), _donors()
    for generate in GENERATORS.values():
        made = generate(image, np.random.default_rng(0), donors)
        assert type(made) is Synthetic and not isinstance(made, Sample)
    assert {field.name for field in dataclasses.fields(Synthetic)} == {"image", "mask", "kind"}
    for name in generators.__all__:
        member = getattr(generators, name)
        if inspect.isfunction(member):
            assert "Sample" not in str(inspect.signature(member).return_annotation), name
    for file in Path(str(generators.__file__)).parent.glob("*.py"):
        text = file.read_text()
        assert "Sample(" not in text and "imwrite" not in text and "write_bytes" not in text, file


def _write(path: Path, picture: NDArray[np.uint8]) -> Path:
    assert cv2.imwrite(str(path), picture[..., ::-1] if picture.ndim == 3 else picture)
    return path


def test_donors_come_from_marked_defects_of_training_parts(tmp_path: Path) -> None:
    path, mask = _write(tmp_path / "part.png", _part()), np.zeros((HIGH, WIDE), np.uint8)
    mask[60:70, 90:110], mask[100:104, 100:110], mask[5, 5] = 255, 255, 255
    file = _write(tmp_path / "mask.png", mask)
    shape = Runs.of(mask > 0)
    samples = [
        Sample(path, True, ("dent",), mask=file, split="train"),
        Sample(path, True, ("crack",), split="train", regions=(Region("crack", shape),)),
        Sample(path, True, ("box",), split="train", regions=(Region("box", Rectangle(5, 5, 20, 20)),)),
        Sample(path, True, split="train"),
        Sample(path, False, split="train"),
        Sample(tmp_path / "gone.png", True, mask=file, split="train"),
    ]
    donors = collect(samples)
    assert [donor.type for donor in donors] == ["dent", "dent", "crack"]
    again = [sample for sample in samples[:1] for _ in range(5)] + samples[1:2]
    assert [donor.type for donor in collect(again, most=3)] == ["dent", "dent", "crack"], "a type was crowded out"
    assert [int(donor.mask.sum()) for donor in donors] == [200, 40, 241]
    assert all(donor.image.shape[:2] == donor.mask.shape for donor in donors)
    assert donors[0].solid == 1 and donors[0].depth > 0.4
    assert len(collect(samples, most=1)) == 1
    for split in ("test", None):
        with pytest.raises(InputError, match=r"not a training part.*dataset\.train"):
            collect([Sample(path, True, mask=file, split=split)])
    with pytest.raises(InputError, match="Mark the defect"):
        Donor.cut(_part(), np.zeros((HIGH, WIDE), bool), "none")


def test_a_contact_sheet_has_a_row_for_each_generator_and_one_for_the_parts() -> None:
    images = [_part(), _part(1)[:100]]
    sheet = contact_sheet(images, GENERATORS, np.random.default_rng(0), _donors(), side_px=100)
    again = contact_sheet(images, GENERATORS, np.random.default_rng(0), _donors(), side_px=100)
    assert sheet.dtype == np.uint8 and sheet.ndim == 3 and np.array_equal(sheet, again)
    assert sheet.shape[0] > 50 * (len(GENERATORS) + 1) and sheet.shape[1] > 2 * 100
    tall = [np.full((300, 100, 3), 90, np.uint8)] * 4
    sheet = contact_sheet(tall, dict(list(GENERATORS.items())[-1:]), np.random.default_rng(0), side_px=240)
    assert (sheet == 255).all(axis=2).mean() < 0.35  # pictures stand close: most of the sheet is they, not paper
    with pytest.raises(InputError, match="at least one of each"):
        contact_sheet([], GENERATORS, np.random.default_rng(0))
