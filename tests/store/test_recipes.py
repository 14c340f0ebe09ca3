"""Recipes and the versions that they learned from, both ways."""

import pytest

from sightline.core.errors import InputError
from sightline.core.sample import TRAIN


@pytest.fixture
def learned(store, add):
    """Hashes as a card lists them, of the training part of plates@1, whose test part is frozen."""
    add(store, 8)
    store.versions.snapshot("plates", frozen=True)
    return [sample.path.stem[:16] for sample in store.samples("plates@1", split=TRAIN)]


def test_a_recipe_names_its_version_and_the_version_its_recipes(store, learned):
    kept = store.recipes.register(b"onnx", "plates", "plates.onnx", "ann", "plates@1", card={"trained_on": learned})
    assert kept.version == "plates@1"
    assert store.recipes.version_of(kept.hash[:12]) == store.versions.find("plates@1")
    assert store.recipes.list(version="plates@1") == (kept,)
    assert store.recipes.file(kept.hash) == b"onnx"
    assert store.recipes.register(b"onnx", "plates", "again.onnx") == kept


def test_a_recipe_that_learned_other_images_is_refused(store, learned):
    card = {"trained_on": [*learned, "0123456789abcdef"]}
    with pytest.raises(InputError, match="1 images that are not in plates@1"):
        store.recipes.register(b"onnx", "plates", "plates.onnx", version="plates@1", card=card)
    assert store.recipes.register(b"onnx", "plates", "plates.onnx", card=card).version is None


def test_a_recipe_that_learned_a_frozen_test_part_is_refused(store, learned):
    closed = [sample.path.stem[:16] for sample in store.samples("plates@1", split="test")]
    with pytest.raises(InputError, match="2 images of a frozen test part"):
        store.recipes.register(b"onnx", "plates", "plates.onnx", card={"trained_on": learned + closed})


def test_a_recipe_has_a_state(store):
    kept = store.recipes.register(b"onnx", "plates", "plates.onnx")
    store.recipes.set_state(kept.hash, "promoted", "ann")
    assert store.recipes.find(kept.hash).state == "promoted"
    with pytest.raises(InputError, match="Use one of"):
        store.recipes.set_state(kept.hash, "best", "ann")
    with pytest.raises(InputError, match="no recipe"):
        store.recipes.find("abc")
