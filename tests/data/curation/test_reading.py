"""One look at every image: in order, whatever the threads do, and with few images held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.sample import Sample
from sightline.data.curation.reading import names_of, read_signs


def test_signs_are_the_same_for_any_number_of_threads(plant: Any, embed: Any) -> None:
    samples = plant()
    one, many = read_signs(samples, embed, threads=1), read_signs(samples, embed, threads=5)
    assert one.digests == many.digests and one.names == many.names
    np.testing.assert_array_equal(one.measured, many.measured)
    np.testing.assert_array_equal(one.embeddings, many.embeddings)
    assert len(one) == len(samples) and one.hashes.shape == (36, 2) and one.thumbs.shape == (36, 64, 64)


def test_a_row_is_the_sign_of_its_own_image_where_others_cannot_be_read(plant: Any, embed: Any) -> None:
    samples = plant()
    samples[8].path.write_bytes(b"")
    samples[35].path.unlink()
    signs = read_signs(samples, embed)
    assert [unread.name for unread in signs.unread] == [samples[8].path.as_posix(), samples[35].path.as_posix()]
    assert len(signs) == 34 == len(signs.embeddings)
    alone = read_signs([samples[9]], embed)
    np.testing.assert_array_equal(signs.embeddings[8], alone.embeddings[0])


def test_embedding_sees_a_few_small_copies_at_a_time(write: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "large.png", np.zeros((700, 1400, 3), np.uint8))
    seen: list[int] = []

    def embed(images: Any) -> Any:
        seen.append(len(images))
        assert all(max(image.shape) <= 512 for image in images)
        return np.zeros((len(images), 4), np.float32)

    done: list[tuple[int, int]] = []
    read_signs([Sample(path, None)] * 19, embed, progress=lambda *given: done.append(given))
    assert seen == [8, 8, 3] and done[-1] == (19, 19)


def test_names_are_short_and_unique() -> None:
    samples = [Sample(Path(name), None) for name in ("/d/a/x.png", "/d/a/x.png", "/e/y.png")]
    assert names_of(samples, Path("/d")) == ["a/x.png", "a/x.png#2", "/e/y.png"]
