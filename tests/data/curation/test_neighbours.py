"""Neighbours found in blocks are those that a full search finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sightline.data.curation import neighbours
from sightline.data.curation.neighbours import close_hashes, compact, nearest


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("total", [1, 2, 40, 1300])
def test_blocks_change_nothing(total: int, count: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(neighbours, "ROWS", 300)
    monkeypatch.setattr(neighbours, "COLUMNS", 700)
    monkeypatch.setattr(neighbours, "GROUP", 16)
    vectors = np.random.default_rng(total).normal(size=(total, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index, cosine = nearest(vectors, count)
    full = vectors @ vectors.T
    np.fill_diagonal(full, -2)
    best = np.sort(full, axis=1)[:, ::-1][:, : min(count, total - 1)]
    assert index.shape == (total, min(count, total - 1))
    np.testing.assert_allclose(cosine, best, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(full, index, 1), cosine, atol=1e-5)


def test_the_nearest_of_several_looks_counts() -> None:
    vectors = np.eye(4, dtype=np.float32)
    index, cosine = nearest(vectors, 1, among=[vectors, np.roll(vectors, 1, axis=0)])
    assert index[:, 0].tolist() == [1, 2, 3, 0] and cosine[:, 0].tolist() == [1, 1, 1, 1]


def test_hashes_that_differ_in_few_bits_are_found(monkeypatch: Any) -> None:
    monkeypatch.setattr(neighbours, "HASH_ROWS", 7)
    monkeypatch.setattr(neighbours, "HASH_COLUMNS", 11)
    hashes = np.random.default_rng(0).integers(0, 2**63, (60, 2), dtype=np.uint64)
    hashes[50] = hashes[3] ^ np.uint64(0b111)
    assert close_hashes(hashes, 6, 8).tolist() == [[3, 50]]
    assert close_hashes(hashes, 5, 8).tolist() == []


def test_where_all_hashes_are_alike_the_pairs_stay_few() -> None:
    assert len(close_hashes(np.zeros((500, 2), np.uint64), 4, 8)) <= 500 * 8


def test_compact_keeps_who_is_near() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 200))
    points[7] = points[4] + 1e-3
    kept = compact(points.astype(np.float32))
    assert np.linalg.norm(kept - kept[4], axis=1).argsort()[1] == 7


def test_equal_images_are_equal_points() -> None:
    assert np.isfinite(compact(np.ones((5, 4), np.float32))).all()
