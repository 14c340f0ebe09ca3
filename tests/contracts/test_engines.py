"""One contract for every engine: the same recipe says the same about the same images."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from sightline.core.errors import RecipeError, SettingError
from sightline.data.dataset import Dataset
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import Engine, Session, open_session

TOLERANCE = 1e-3
INT8_TOLERANCE = 0.75  # engines round activations to different neighbours; 1 is the spread of good parts' top means


@pytest.fixture(params=get_args(Engine))
def engine(request: pytest.FixtureRequest) -> Engine:
    if importlib.util.find_spec(request.param) is None:
        reason = f"{request.param} is not installed: pip install 'sightline[{request.param}]'"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def images(draw: Any) -> list[NDArray[np.uint8]]:
    return [draw(740 + i, flawed=i % 2 == 1)[0] for i in range(6)]


@pytest.fixture(scope="module")
def int8_recipe(parts: Dataset, train_tiny: Callable[..., Recipe]) -> Recipe:
    return train_tiny(parts, precision="int8")


@pytest.fixture
def session(engine: Engine, recipe: Recipe) -> Session:
    return open_session(recipe.data, 1, engine)


def _batch(recipe: Recipe, count: int) -> NDArray[np.uint8]:
    size = (count, recipe.card.height, recipe.card.width, 3)
    return np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)


def _relative(one: float, other: float) -> float:
    return abs(one - other) / max(1.0, abs(other))


def test_every_engine_gives_the_same_verdicts(
    engine: Engine, recipe: Recipe, judge: Inspector, images: list[NDArray[np.uint8]]
) -> None:
    inspector = Inspector(recipe, 1, engine)
    for image in images:
        one, other = inspector.inspect(image), judge.inspect(image)
        assert one.verdict is other.verdict
        assert _relative(one.score, other.score) <= TOLERANCE
        assert one.p_value == pytest.approx(other.p_value, abs=TOLERANCE)
        assert np.allclose(one.heat, other.heat, atol=0.02)
        assert np.allclose(one.embedding, other.embedding, atol=0.02)


def test_an_int8_recipe_runs_in_every_engine(
    engine: Engine, int8_recipe: Recipe, images: list[NDArray[np.uint8]]
) -> None:
    inspector, usual = Inspector(int8_recipe, 1, engine), Inspector(int8_recipe, 1)
    for image in images:
        one, other = inspector.inspect(image), usual.inspect(image)
        assert one.verdict is other.verdict
        assert abs(one.score - other.score) <= INT8_TOLERANCE * max(1.0, abs(other.score))


def test_a_batch_is_read_like_single_images(engine: Engine, recipe: Recipe, images: list[NDArray[np.uint8]]) -> None:
    inspector = Inspector(recipe, 1, engine)
    singles = [inspector.inspect(image) for image in images]
    for one, other in zip(inspector.inspect_many(images, batch=4), singles, strict=True):
        assert one.verdict is other.verdict
        assert _relative(one.score, other.score) <= 1e-4


def test_the_card_and_the_names_come_through(session: Session, recipe: Recipe) -> None:
    reference = open_session(recipe.data, 1)
    assert session.metadata == reference.metadata
    assert session.inputs == reference.inputs
    assert session.outputs == reference.outputs


def _graph_inputs(recipe: Recipe) -> list[str]:
    return [value.name for value in onnx.load_from_string(recipe.data).graph.input]


def test_another_bank_can_be_given(session: Session, recipe: Recipe) -> None:
    """A bank of far entries, of any size, makes everything odd; then the file's counts again."""
    image = _batch(recipe, 1)
    before = session.run({"image": image})
    reference = open_session(recipe.data, 1)
    for entries in (1, 256, 9):  # 256 as in the file: norms of the file's entries must not stay behind
        bank = np.full((entries, 64), 50, np.float32)
        banks = {name: bank for name in _graph_inputs(recipe) if name.startswith("bank_")}
        given = {"image": image, **banks, "calibration": np.zeros(4, np.float32)}
        found, expected = session.run(given), reference.run(given)
        assert found["score"][0] > before["score"][0] + 1
        assert found["score"] == pytest.approx(expected["score"], rel=TOLERANCE)
        assert found["p_value"] == pytest.approx([0.2])
    assert session.run({"image": image})["score"] == pytest.approx(before["score"], rel=1e-6)


def test_threads_share_one_session(session: Session, recipe: Recipe) -> None:
    batch = _batch(recipe, 4)
    expected = [session.run({"image": image[None]})["score"][0] for image in batch]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: session.run({"image": batch[i % 4][None]})["score"][0], range(16)))
    assert np.allclose(found, expected * 4, rtol=1e-5)


def test_what_is_no_model_is_named(engine: Engine) -> None:
    with pytest.raises(RecipeError, match=r"plates.onnx: not a loadable ONNX model .* Train or copy it again"):
        open_session(b"no model", 1, engine, name="plates.onnx")


def test_an_unknown_engine_or_precision_names_the_known_ones(recipe: Recipe) -> None:
    with pytest.raises(SettingError, match=r"engine 'abacus' is unknown. Choose one of: onnxruntime, openvino"):
        open_session(recipe.data, 1, "abacus")
    with pytest.raises(SettingError, match=r"precision 'f8' is unknown. Choose one of: f32, bf16"):
        open_session(recipe.data, 1, precision="f8")


def test_bf16_runs_where_it_can_and_is_refused_elsewhere(engine: Engine, recipe: Recipe) -> None:
    """Never taken for granted: an engine that fell back without a word would be timed as something it is not."""
    try:
        session = open_session(recipe.data, 1, engine, "bf16")
    except SettingError as error:
        assert "Use" in str(error)
    else:
        reference = open_session(recipe.data, 1).run({"image": _batch(recipe, 1)})
        assert np.allclose(session.run({"image": _batch(recipe, 1)})["score"], reference["score"], rtol=0.1)
