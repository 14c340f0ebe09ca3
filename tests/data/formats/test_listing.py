"""Parts of a dataset become the side to learn from and the side to test on."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Region, Runs, Shape
from sightline.core.sample import Sample
from sightline.data.formats.document import DatasetWarning
from sightline.data.formats.listing import RESCALED, TURNED, Listing, sides

UPRIGHT_BY_EXIF = 6


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("instances_train2017 instances_val2017", "train test"),
        ("train valid test", "train train test"),
        ("Train Validation", "train test"),
        ("training testing", "train test"),
        ("val", "test"),
        ("trainval test", "train test"),
        ("test", "test"),
    ],
)
def test_names_tell_the_side(names: str, expected: str) -> None:
    assert list(sides(names.split()).values()) == expected.split()


@pytest.mark.parametrize("name", ["", "default", "instances", "latest", "restrained"])
def test_other_names_tell_nothing(name: str) -> None:
    assert sides([name]) == {name: None}


def _listed(folder: Path, stated: tuple[int, int], shape: Shape, *, turned: bool = False) -> Sample:
    """A mark on a picture of 100 x 40 px; `turned`, its bitmap is that and the picture upright."""
    exif = Image.Exif()
    exif[0x112] = UPRIGHT_BY_EXIF if turned else 1
    Image.new("L", (100, 40)).save(folder / "p.jpg", exif=exif.tobytes())
    listing = Listing(folder)
    listing.add(folder / "p.jpg", [(Region("dent", shape), "mark 1")], "image 1", size=stated)
    return listing.samples()[0]


@pytest.mark.parametrize(
    "shape",
    [
        Rectangle(140, 20, 40, 40),
        Polygons.united([np.array([(140, 20), (180, 20), (180, 60), (140, 60)], float)]),
        Runs.placed(np.ones((40, 40), bool), 140, 20, 80, 200),
    ],
)
def test_marks_of_pictures_that_were_resized_since_are_scaled(shape: Shape, tmp_path: Path) -> None:
    with pytest.warns(DatasetWarning, match=re.escape(RESCALED)):
        (region,) = _listed(tmp_path, (80, 200), shape).regions
    assert region.box == (70, 10, 20, 20)
    assert region.mask(40, 100).sum() == 400


def test_sides_that_were_rounded_keep_their_ratio(tmp_path: Path) -> None:
    with pytest.warns(DatasetWarning, match=re.escape(RESCALED)):
        (region,) = _listed(tmp_path, (121, 301), Rectangle(210, 30, 60, 60)).regions
    assert region.box == pytest.approx((70, 10, 20, 20), abs=0.5)


@pytest.mark.parametrize(
    ("stated", "shape"),
    [
        ((50, 100), Rectangle(70, 10, 20, 20)),  # cropped
        ((100, 40), Rectangle(10, 10, 20, 20)),  # turned, and nobody knows which way
        ((20, 50), Rectangle(70, 10, 20, 20)),  # outside what the annotation itself states
        ((40000, 100000), Runs(40000, 50000, (2_000_000_000,))),
    ],
)
def test_marks_whose_place_cannot_be_known_are_refused_with_the_picture(
    stated: tuple[int, int], shape: Shape, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError,
        match=r"mark 1: marked on a picture of .* but .*p.jpg has 100 x 40 px, so the position",
    ):
        _listed(tmp_path, stated, shape)


def test_a_size_from_before_turning_is_forgiven_where_only_the_upright_picture_fits(tmp_path: Path) -> None:
    with pytest.warns(DatasetWarning, match=re.escape(TURNED)):
        (region,) = _listed(tmp_path, (40, 100), Rectangle(10, 70, 20, 20), turned=True).regions
    assert region.box == (10, 70, 20, 20)
    for place in (Rectangle(70, 10, 20, 20), Rectangle(10, 10, 20, 20)):
        with pytest.raises(InputError, match="has 40 x 100 px, so the position"):
            _listed(tmp_path, (40, 100), place, turned=True)
