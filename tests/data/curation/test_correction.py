"""What is applied comes out in a table that reads back the same, while the original stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import InputError
from sightline.core.region import Region, Runs
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.data.curation.correction import corrected, relabelled, write_table
from sightline.data.curation.finding import Action, Verb
from sightline.data.curation.signs import label_of
from sightline.data.dataset import Dataset
from sightline.data.warning import DatasetWarning


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
    read = Dataset.open(table).samples
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
