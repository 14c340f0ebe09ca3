"""Every kind of finding is found where it is planted, and a clean set is passed over in silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.region import Region, Runs
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.data.curation.check import check, corrected, relabelled, write_table
from sightline.data.curation.findings import Action, Finding, Kind, Severity, Verb
from sightline.data.curation.image_statistics import label_of
from sightline.data.dataset import Dataset
from sightline.data.formats.document import DatasetWarning

Picture = NDArray[np.uint8]


def moved(image: Picture) -> Picture:
    return np.asarray(cv2.blur(image, (15, 1)), np.uint8)


def glaring(image: Picture) -> Picture:
    spot = image.copy()
    cv2.circle(spot, (60, 40), 9, (255, 255, 255), -1)
    return spot


ODD: dict[Kind, Callable[[Any], Picture]] = {
    Kind.BLUR: lambda plate: cv2.GaussianBlur(plate(90), (0, 0), 6),
    Kind.MOTION: lambda plate: moved(plate(90)),
    Kind.CLIPPING: lambda plate: np.clip(plate(90).astype(int) * 3 - 150, 0, 255).astype(np.uint8),
    Kind.GLARE: lambda plate: glaring(plate(90)),
    Kind.SIZE: lambda plate: np.ascontiguousarray(plate(90)[:80, :100]),
    Kind.OUTLIER: lambda plate: np.random.default_rng(1).integers(30, 220, (96, 128, 3), dtype=np.uint8),
    Kind.COPY: lambda plate: plate(3),
    Kind.NEAR: lambda plate: np.clip(plate(3)[4:, 6:] * 1.15 + 5, 0, 255).astype(np.uint8),
}


def of(kind: Kind, findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.kind is kind]


def test_a_clean_set_is_passed_over_in_silence(plant: Any, embed: Any) -> None:
    assert [(finding.kind, finding.subjects, finding.reason) for finding in check(plant(), embed)] == []


@pytest.mark.parametrize("kind", ODD)
def test_what_is_planted_is_found_alone(kind: Kind, plant: Any, plate: Any, embed: Any, tmp_path: Any) -> None:
    findings = of(kind, check(plant({"odd.png": ODD[kind](plate)}), embed, root=tmp_path))
    assert len(findings) == 1
    assert "odd.png" in findings[0].subjects
    assert findings[0].reason.endswith(".") and findings[0].remedy.endswith(".")
    if kind in {Kind.COPY, Kind.NEAR}:
        assert set(findings[0].subjects) == {"good03.png", "odd.png"}


def test_near_duplicates_on_both_sides_of_the_split_are_leakage(plant: Any, plate: Any, embed: Any) -> None:
    samples = [replace(s, split=TRAIN, lot=None) for s in plant({"odd.png": ODD[Kind.NEAR](plate)})]
    samples[-1] = replace(samples[-1], split=TEST)
    findings = check(samples, embed)
    (leak,) = of(Kind.LEAKAGE, findings)
    assert leak.severity is Severity.HIGH and leak.action.verb is Verb.SPLIT and leak.action.value == TRAIN
    assert leak.action.targets == (samples[-1].path.as_posix(),)
    assert of(Kind.NEAR, findings) == []


def test_a_group_on_both_sides_of_the_split_is_leakage(plant: Any, embed: Any) -> None:
    samples = [replace(s, split=TRAIN, lot=None) for s in plant()]
    samples[0], samples[1] = replace(samples[0], group="g", split=TEST), replace(samples[1], group="g")
    (leak,) = of(Kind.LEAKAGE, check(samples, embed))
    assert "group 'g'" in leak.reason


def test_images_of_one_group_are_no_finding(plant: Any, plate: Any, embed: Any) -> None:
    samples = plant({"odd.png": ODD[Kind.NEAR](plate)})
    samples[3], samples[-1] = replace(samples[3], group="g"), replace(samples[-1], group="g")
    assert {f.kind for f in check(samples, embed)}.isdisjoint({Kind.NEAR, Kind.COPY, Kind.LEAKAGE})


def test_one_picture_with_two_labels_contradicts_itself(plant: Any, plate: Any, embed: Any) -> None:
    samples = plant({"odd.png": ODD[Kind.NEAR](plate)})
    samples[-1] = replace(samples[-1], defective=True, types=("stain",))
    (found,) = of(Kind.CONTRADICTION, check(samples, embed))
    assert found.action.verb is Verb.NONE  # one against one: a person decides


def test_a_wrong_label_is_found_and_the_right_one_proposed(plant: Any, embed: Any) -> None:
    samples = plant(good=40, flawed=40)
    samples[60] = replace(samples[60], defective=False, types=())
    (found,) = of(Kind.LABEL, check(samples, embed))
    assert found.subjects == (samples[60].path.as_posix(),) and found.action.value == "stain"


def test_a_class_with_few_parts_is_said(plant: Any, embed: Any) -> None:
    samples = plant()
    samples[-1] = replace(samples[-1], types=("chip",))
    (tiny,) = of(Kind.TINY, check(samples, embed))
    assert "'chip' is shown by 1 part" in tiny.reason and "teach it" in tiny.remedy


def test_few_good_parts_are_neither_joined_with_a_type_nor_taught(plant: Any, embed: Any) -> None:
    (tiny,) = of(Kind.TINY, check(plant(good=5, flawed=12), embed))
    assert tiny.remedy == "Photograph 1 or more other good parts; thirty give a first honest figure."


def test_a_lot_with_one_class_only_is_said(plant: Any, embed: Any) -> None:
    samples = [replace(s, lot="bad lot" if s.defective else "other") for s in plant()]
    found = of(Kind.LOT, check(samples, embed))
    assert any("bad lot" in finding.reason for finding in found)


def test_light_that_tells_the_label_is_said(plant: Any, embed: Any, write: Any, plate: Any) -> None:
    samples = plant()
    for number, sample in enumerate(samples):
        if sample.defective:
            write(sample.path, np.clip(plate(number, True).astype(int) - 45, 0, 255).astype(np.uint8))
    (found,) = [f for f in of(Kind.LIGHTING, check(samples, embed)) if f.about == "light:brightness"]
    assert "less brightness" in found.reason and "AUROC" in found.reason


def test_an_unreadable_image_is_named_and_the_check_goes_on(plant: Any, embed: Any) -> None:
    samples = plant()
    samples[5].path.write_bytes(b"no image")
    (found,) = check(samples, embed)
    assert found.kind is Kind.UNREADABLE and "not a readable image" in found.reason


def test_a_mask_that_cannot_be_used_is_named_in_whichever_part(plant: Any, tmp_path: Path) -> None:
    marked = np.zeros((96, 128), np.uint8)
    marked[20:40, 20:40] = 255
    masks = {"good": marked, "other shape": marked[:, :64], "empty": marked * 0, "inverted": 255 - marked}
    for name, mask in masks.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), mask)
    (tmp_path / "broken.png").write_bytes(b"no image")
    samples = plant()
    height, width = cv2.imread(str(samples[-1].path)).shape[:2]
    assert (height, width) == marked.shape
    names = [*masks, "broken", "gone"]
    first = len(samples) - len(names)
    for number, name in enumerate(names, first):
        assert samples[number].defective
        split = TEST if number % 2 else TRAIN
        samples[number] = replace(samples[number], mask=tmp_path / f"{name}.png", split=split)
    found = {finding.subjects[0]: finding for finding in of(Kind.MASK, check(samples))}
    assert set(found) == {samples[number].path.as_posix() for number in range(first + 1, len(samples))}
    told = [found[samples[number].path.as_posix()].reason for number in range(first + 1, len(samples))]
    words = ["another shape", "marks nothing", "black on white", "not a readable image", "cannot be read"]
    assert all(word in reason for word, reason in zip(words, told, strict=True)), told


def test_a_set_without_any_readable_image_is_an_error(tmp_path: Any) -> None:
    with pytest.raises(InputError, match=r"none of 1 images can be read"):
        check([Sample(tmp_path / "gone.png", None)])


def test_without_an_embedding_the_rest_is_checked(plant: Any, plate: Any) -> None:
    findings = check(plant({"odd.png": ODD[Kind.BLUR](plate)}))
    assert [finding.kind for finding in findings] == [Kind.BLUR]


def test_the_same_set_gives_the_same_findings_under_the_same_keys(plant: Any, plate: Any, embed: Any) -> None:
    samples = plant({"odd.png": ODD[Kind.NEAR](plate)})
    first, second = check(samples, embed), check(samples, embed)
    assert first == second and len({finding.key for finding in first}) == len(first)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_handful_of_images_can_be_checked(count: int, plant: Any, embed: Any) -> None:
    assert {f.kind for f in check(plant()[:count], embed)} <= {Kind.TINY}


# What is applied comes out in a table that reads back the same, while the original stays as it was.


def test_actions_are_applied_in_order_and_read_back(plant: Any, tmp_path: Path) -> None:
    samples = [replace(s, split=TRAIN, metadata={"serial": str(n)}) for n, s in enumerate(plant())]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    names = [sample.path.name for sample in samples]
    actions = [
        Action(Verb.REMOVE, (names[0], "gone.png")),
        Action(Verb.RELABEL, (names[1],), "chip;stain"),
        Action(Verb.RELABEL, (names[-1],), "good"),
        Action(Verb.SPLIT, (names[2], names[3]), TEST),
        Action(Verb.GROUP, (names[4], names[5]), "same"),
        Action(Verb.SPLIT, (names[0],), TEST),
    ]
    after = corrected(samples, names, actions)
    table = write_table(after, tmp_path / "new" / "table.csv")
    read = Dataset.open(table, outside=True).samples
    assert [replace(s, path=s.path.resolve(), metadata=dict(s.metadata)) for s in read] == [
        replace(s, path=s.path.resolve()) for s in after
    ]
    assert len(read) == len(samples) - 1
    assert (read[0].types, read[-1].defective) == (("chip", "stain"), False)
    assert [s.split for s in read[1:3]] == [TEST, TEST] and {s.group for s in read[3:5]} == {"same"}
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("label", ["good", "defect", "chip", "chip;stain", "grade 0", "grade 3"])
def test_a_label_is_what_it_was_set_to(label: str) -> None:
    assert label_of(relabelled(Sample(Path("a.png"), True, ("dent",), grade=1), label)) == label


def test_lost_places_are_told(tmp_path: Path, write: Any, plate: Any) -> None:
    import numpy as np

    region = Region("stain", Runs.of(np.ones((96, 128), bool)))
    sample = Sample(write(tmp_path / "a.png", plate(0)), True, ("stain",), regions=(region,))
    with pytest.warns(DatasetWarning, match="boxes and polygons of 1 images"):
        write_table([sample], tmp_path / "t.csv")


def test_an_empty_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image is left"):
        write_table([], tmp_path / "t.csv")
