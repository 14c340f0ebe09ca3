"""From what people said to numbers: types, marked cells, grades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.region import Rectangle, Region
from sightline.core.sample import Sample
from sightline.runtime.letterbox import fit_letterbox
from sightline.train.images.loader import Part, TrainingWarning, accept
from sightline.train.labels.targets import UNTYPED, check_marks, segmentation_target, types_of, vocabulary


def _parts(*samples: Sample) -> list[Part]:
    return [Part(sample, f"{index:04}", index) for index, sample in enumerate(samples)]


def _sample(*types: str, grade: int | None = None, **more: Any) -> Sample:
    return Sample(Path("a.png"), bool(types), types, grade=grade, **more)


def test_types_come_by_name_and_are_exclusive_while_no_part_carries_two() -> None:
    parts = _parts(_sample(), _sample("scratch"), _sample("scratch"), _sample("dent"), _sample("dent"))
    label_map = vocabulary(parts)
    assert label_map.types == ("dent", "scratch") and label_map.exclusive
    both = vocabulary([*parts, *_parts(_sample("dent", "scratch"))])
    assert both.types == ("dent", "scratch") and not both.exclusive


def test_a_type_with_one_example_stays_a_stranger() -> None:
    with pytest.warns(TrainingWarning, match="type 'dent' has 1 example and is not learned"):
        label_map = vocabulary(_parts(_sample(), _sample("scratch"), _sample("scratch"), _sample("dent")))
    assert label_map.types == ("scratch",)


def test_a_defect_without_a_name_is_a_defect() -> None:
    assert types_of(Sample(Path("a.png"), True)) == (UNTYPED,)
    assert types_of(Sample(Path("a.png"), False)) == ()


def test_classes_begin_with_good() -> None:
    label_map = vocabulary(_parts(_sample("a"), _sample("a"), _sample("b"), _sample("b")))
    assert label_map.classes(_sample()) is not None
    assert label_map.classes(_sample()).tolist() == [True, False, False]  # type: ignore[union-attr]
    assert label_map.classes(_sample("b")).tolist() == [False, False, True]  # type: ignore[union-attr]
    assert label_map.classes(Sample(Path("a.png"), None)) is None


def test_grades_without_a_gap() -> None:
    graded = [_sample(grade=grade) for grade in (0, 2, 1, 0)]
    assert vocabulary(_parts(*graded)).grades == ("0", "1", "2")
    with pytest.raises(InputError, match=r"grades have a gap: nobody gave 1, 3. Number the grades"):
        vocabulary(_parts(*(_sample(grade=grade) for grade in (0, 2, 4))))
    with pytest.raises(InputError, match="grade -1 is below 0"):
        vocabulary(_parts(*(_sample(grade=grade) for grade in (-1, 0))))


def test_one_grade_is_none() -> None:
    assert vocabulary(_parts(_sample(grade=0), _sample(grade=0))).grades == ()


@pytest.fixture
def marked(tmp_path: Path, write: Any) -> Sample:
    mask = np.zeros((64, 96), np.uint8)
    mask[16:32, 48:64] = 255
    image = write(tmp_path / "part.png", np.zeros((64, 96, 3), np.uint8))
    return Sample(image, True, ("dent",), mask=write(tmp_path / "mask.png", mask))


def test_a_mask_marks_its_cells(marked: Sample) -> None:
    label_map = vocabulary(_parts(marked, marked))
    cells = segmentation_target(marked, fit_letterbox((64, 96), (64, 96)), label_map, (8, 12))
    assert cells is not None
    expected = np.zeros((8, 12), np.float32)
    expected[2:4, 6:8] = 1
    assert np.array_equal(cells[1], expected)
    assert np.array_equal(cells[0], 1 - expected)


def test_boxes_mark_their_cells_by_type(marked: Sample) -> None:
    boxes = (Region("a", Rectangle(0, 0, 8, 8)), Region("b", Rectangle(88, 56, 8, 8)))
    sample = Sample(marked.path, True, ("a", "b"), regions=boxes)
    label_map = vocabulary(_parts(sample, sample))
    cells = segmentation_target(sample, fit_letterbox((64, 96), (64, 96)), label_map, (8, 12))
    assert cells is not None and cells.shape == (3, 8, 12)
    assert cells[1, 0, 0] == 1 and cells[1].sum() == 1
    assert cells[2, 7, 11] == 1 and cells[2].sum() == 1


def test_marks_move_with_the_placement(marked: Sample) -> None:
    label_map = vocabulary(_parts(marked, marked))
    cells = segmentation_target(marked, fit_letterbox((64, 96), (128, 128), scale=1.0), label_map, (16, 16))
    assert cells is not None
    rows, columns = np.nonzero(cells[1])
    assert (rows.min(), rows.max()) == (6, 7)  # 32 px of border above
    assert (columns.min(), columns.max()) == (8, 9)


def test_an_unmarked_defect_teaches_no_place(marked: Sample) -> None:
    label_map = vocabulary(_parts(marked, marked))
    bare = Sample(marked.path, True, ("dent",))
    assert segmentation_target(bare, fit_letterbox((64, 96), (64, 96)), label_map, (8, 12)) is None
    good = segmentation_target(Sample(marked.path, False), fit_letterbox((64, 96), (64, 96)), label_map, (8, 12))
    assert good is not None and good[0].all() and not good[1].any()


def test_a_mask_of_another_size_is_not_used(marked: Sample, tmp_path: Path, write: Any) -> None:
    other = Sample(marked.path, True, ("dent",), mask=write(tmp_path / "other.png", np.ones((10, 10), np.uint8)))
    with pytest.warns(TrainingWarning, match=r"not used: .*a mask of 10 x 10 px for a picture of 96 x 64 px"):
        assert (
            segmentation_target(other, fit_letterbox((64, 96), (64, 96)), vocabulary(_parts(marked, marked)), (8, 12))
            is None
        )


def test_an_unreadable_mask_is_named_and_not_used(marked: Sample, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    other = Sample(marked.path, True, ("dent",), mask=tmp_path / "broken.png")
    with pytest.warns(TrainingWarning, match=r"not used: .*broken.png"):
        assert (
            segmentation_target(other, fit_letterbox((64, 96), (64, 96)), vocabulary(_parts(marked, marked)), (8, 12))
            is None
        )


def test_identical_images_with_different_labels_are_named(marked: Sample) -> None:
    with pytest.warns(TrainingWarning, match="is the same picture as .*, but their labels differ: correct one of them"):
        accept([marked, Sample(marked.path, False)])


def _warned(sample: Sample, match: str) -> NDArray[np.float32] | None:
    with pytest.warns(TrainingWarning, match=match):
        return segmentation_target(
            sample, fit_letterbox((64, 96), (64, 96)), vocabulary(_parts(sample, sample)), (8, 12)
        )


def test_a_mask_that_marks_nothing_teaches_no_place(marked: Sample, tmp_path: Path, write: Any) -> None:
    empty = write(tmp_path / "empty.png", np.zeros((64, 96), np.uint8))
    assert (
        _warned(
            Sample(marked.path, True, ("dent",), mask=empty), "marks nothing, so it says nothing of where 'dent' is"
        )
        is None
    )


def test_a_mask_that_could_be_of_two_types_is_not_used(marked: Sample) -> None:
    both = Sample(marked.path, True, ("dent", "scratch"), mask=marked.mask)
    assert _warned(both, "does not say which of 'dent', 'scratch' it marks") is None


def test_a_mark_of_another_type_than_the_label_is_not_used(marked: Sample) -> None:
    wrong = Sample(marked.path, True, ("dent",), regions=(Region("scratch", Rectangle(0, 0, 8, 8)),))
    assert _warned(wrong, "a mark of 'scratch' names none of the part's types") is None


def test_a_box_wholly_outside_its_image_is_not_used(marked: Sample) -> None:
    away = Sample(marked.path, True, ("dent",), regions=(Region("dent", Rectangle(200, 0, 8, 8)),))
    assert _warned(away, "a mark of 'dent' is wholly outside the image") is None


def test_a_box_that_reaches_outside_is_cut(marked: Sample) -> None:
    over = Sample(marked.path, True, ("dent",), regions=(Region("dent", Rectangle(88, 56, 40, 40)),))
    with pytest.warns(TrainingWarning, match="reaches outside the image and was cut at its border"):
        cells = segmentation_target(over, fit_letterbox((64, 96), (64, 96)), vocabulary(_parts(over, over)), (8, 12))
    assert cells is not None and cells[1].sum() == 1 and cells[1, 7, 11] == 1


def test_marks_of_a_type_that_is_not_learned_teach_no_place(marked: Sample) -> None:
    label_map = vocabulary(_parts(*[_sample("scratch")] * 2))
    assert segmentation_target(marked, fit_letterbox((64, 96), (64, 96)), label_map, (8, 12)) is None


def test_a_good_part_with_a_mark_is_named(marked: Sample) -> None:
    with pytest.warns(TrainingWarning, match="is called good, but a defect is marked on it"):
        check_marks(Sample(marked.path, False, mask=marked.mask))


def test_marks_move_with_an_aligned_part(marked: Sample) -> None:
    """A part that lies 16 px to the right comes back by 16 px, and its mark with it."""
    label_map = vocabulary(_parts(marked, marked))
    where = fit_letterbox((64, 96), (64, 96))
    still = segmentation_target(marked, where, label_map, (8, 12))
    moved = segmentation_target(marked, where, label_map, (8, 12), np.array([[1.0, 0, 16], [0, 1, 0]]))
    assert still is not None and moved is not None
    assert np.allclose(moved[1:, :, :-2], still[1:, :, 2:], atol=1e-6)
    assert np.allclose(moved[0] + moved[1:].max(0), 1)
