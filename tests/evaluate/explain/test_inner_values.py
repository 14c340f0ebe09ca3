"""Each cell's share of the quality: nothing is left over."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.evaluate.explain.inner_values import EPS, _head, quality_map


@pytest.fixture
def outputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    maps = {"a": rng.normal(size=(1, 3, 6, 8)), "b": rng.normal(size=(1, 2, 3, 4))}
    maps["b"][0, 1] = 2.0  # a channel that does not vary at all
    return {
        **{name: values.astype(np.float32) for name, values in maps.items()},
        "known_quality_weights": rng.normal(size=(10, 1)).astype(np.float32),
        "known_quality_bias": np.array([0.7], np.float32),
    }


def pooled_of(outputs: dict[str, np.ndarray]) -> np.ndarray:
    pooled = []
    for name in ("a", "b"):
        values = outputs[name][0].astype(np.float64)
        mean = values.mean((1, 2))
        pooled += [mean, np.sqrt(np.maximum((values**2).mean((1, 2)) - mean**2, EPS))]
    return np.concatenate(pooled)


def test_the_map_sums_to_what_the_head_computes(outputs: dict[str, np.ndarray]) -> None:
    expected = float(pooled_of(outputs) @ outputs["known_quality_weights"][:, 0] + 0.7)
    found = quality_map(outputs, ("a", "b"))
    assert found is not None and found.shape == (6, 8)
    assert float(found.sum(dtype=np.float64)) == pytest.approx(expected, abs=1e-4)


def test_shares_of_a_likeness_sum_to_its_quality_and_follow_it(outputs: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    mean, spread, centres = rng.normal(size=10), rng.uniform(0.5, 2, 10), rng.normal(size=(20, 10))
    weights, narrowness = rng.normal(size=20), 0.1
    scaled = (np.array(pooled_of(outputs)) - mean) / spread
    likeness = {
        "known_scaled": scaled[None],
        "known_centres": centres,
        "known_likeness_weights": weights[:, None],
        "known_narrowness": np.array(2 * narrowness),
        "known_pooled_mean": mean,
        "known_pooled_spread": spread,
    }
    maps = {name: outputs[name] for name in ("a", "b")}
    found = quality_map({**maps, **likeness}, ("a", "b"))
    expected = float(weights @ np.exp(-narrowness * ((scaled - centres) ** 2).sum(1)))
    assert found is not None and float(found.sum(dtype=np.float64)) == pytest.approx(expected, abs=1e-4)
    # A feature that no centre differs in has no share in what changed on the way from the mean part.
    flat = likeness | {"known_centres": centres * np.r_[np.zeros(3), np.ones(7)]}
    still = {**flat, "known_scaled": scaled[None] * np.r_[np.zeros(3), np.ones(7)]}
    weights_of, _ = _head({**maps, **still}) or (None, None)
    assert weights_of is not None and np.allclose(weights_of[:3], 0) and not np.allclose(weights_of[3:], 0)


def test_the_cell_that_makes_the_mean_has_the_largest_share() -> None:
    values = np.zeros((1, 1, 4, 4), np.float32)
    values[0, 0, 1, 2] = 8
    weights = np.array([[2.0], [0.0]], np.float32)
    found = quality_map({"a": values, "known_quality_weights": weights, "known_quality_bias": np.zeros(1)}, ("a",))
    assert found is not None and np.unravel_index(int(found.argmax()), found.shape) == (1, 2)
    assert found[1, 2] == pytest.approx(1.0)  # 2 * 8 / 16 cells


def test_a_graph_that_lacks_a_map_has_no_contributions(outputs: dict[str, np.ndarray]) -> None:
    assert quality_map(outputs, ("a", "c")) is None
    assert quality_map(outputs, ()) is None
