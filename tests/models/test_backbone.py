"""The table of backbones."""

from __future__ import annotations

import pytest

from sightline.core.errors import InputError
from sightline.models.backbone import BACKBONES, backbone


def test_every_backbone_is_found_by_its_name() -> None:
    assert set(BACKBONES) == {"lite0", "lite1", "lite2", "dinov2-s"}
    for name, entry in BACKBONES.items():
        assert backbone(name) is entry


@pytest.mark.parametrize("name", BACKBONES)
def test_an_entry_agrees_with_itself(name: str) -> None:
    entry = backbone(name)
    assert set(entry.levels) == {"fine", "coarse"}
    assert {part for level in entry.levels.values() for part in level} | {entry.embedding} <= set(entry.maps)
    assert entry.step_px % entry.stride_px == 0


def test_other_weights_have_another_identity() -> None:
    identities = [entry.identity for entry in BACKBONES.values()]
    assert len(set(identities)) == len(identities)
    assert BACKBONES["lite0"].identity == "lite0-579344248a93"
    assert BACKBONES["dinov2-s"].identity == "dinov2-s-198644e37de3"


def test_an_unknown_backbone_is_answered_with_the_known_ones() -> None:
    known = "Choose one of: lite0, lite1, lite2, dinov2-s, hf:NAME_OR_FOLDER"
    with pytest.raises(InputError, match=f"no backbone is called 'resnet'. {known}"):
        backbone("resnet")
