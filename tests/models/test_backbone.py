"""The table of trunks."""

from __future__ import annotations

import pytest

from sightline.core.errors import InputError
from sightline.models.backbone import BACKBONES, backbone


def test_every_trunk_is_found_by_its_name() -> None:
    assert set(BACKBONES) == {"lite0", "lite1", "lite2"}
    for name, entry in BACKBONES.items():
        assert backbone(name) is entry


def test_other_weights_have_another_identity() -> None:
    identities = [entry.identity for entry in BACKBONES.values()]
    assert len(set(identities)) == len(identities)
    assert BACKBONES["lite0"].identity == "lite0-579344248a93"


def test_an_unknown_trunk_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no backbone is called 'resnet'. Choose one of: lite0, lite1, lite2"):
        backbone("resnet")
