"""The board's layout: parts have room, and copper never joins what it should not."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np

from sightline.data.sample.board_layout import COMPONENTS, lands, route

PADS = [pad for part in COMPONENTS for pad in lands(part)]


def test_pads_of_different_parts_do_not_overlap() -> None:
    for one, other in combinations(PADS, 2):
        apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2
        apart_y = abs(one.y - other.y) >= (one.height + other.height) / 2
        assert apart_x or apart_y, (one, other)


def test_tracks_keep_their_distance_from_each_other() -> None:
    tracks = route(PADS).tracks
    assert len(tracks) > 30
    taken = np.zeros((1000, 1000), np.uint8)
    for track in tracks:
        own = np.zeros_like(taken)
        # The ends lie on pads, where the track may run to the pad's middle.
        cv2.polylines(own, [np.round(track[1:-1] * 1000).astype(np.int32)], False, 1.0, 4)
        assert not (own & taken).any()
        taken |= own


def test_vias_are_on_the_board_and_apart() -> None:
    copper = route(PADS)
    places = np.array(copper.vias + copper.stitches)
    assert places.min() > 0.03
    assert places.max() < 0.97
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(len(places))
    assert gaps.min() > 0.012
