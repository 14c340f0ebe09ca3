"""Backbones of the hub: found, named and opened without running anybody's code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sightline.core.errors import InputError, MissingExtraError, WeightsError
from sightline.models import hub
from sightline.models.backbone import backbone

Folder = Callable[[str], Path]
PYRAMID = ("stride_8", "stride_16", "stride_32")
BLOCKS = ("block_2", "block_3", "block_4", "block_5")


@pytest.fixture
def copied(hub_folder: Folder, tmp_path: Path) -> Folder:
    """As `hub_folder`, to write into."""
    return lambda kind: Path(shutil.copytree(hub_folder(kind), tmp_path / kind))


@pytest.mark.parametrize(
    ("kind", "maps", "stride", "step", "any_size"),
    [
        ("resnet", PYRAMID, 8, 32, True),
        ("convnext", PYRAMID, 8, 32, True),
        ("dinov2", BLOCKS, 14, 14, True),
        ("vit", BLOCKS, 16, 16, True),
        ("mobilevit", PYRAMID, 8, 32, False),
    ],
)
def test_cnn_vit_and_hybrid_describe_themselves(
    kind: str, maps: tuple[str, ...], stride: int, step: int, any_size: bool, hub_folder: Folder
) -> None:
    entry = backbone(f"hf:{hub_folder(kind)}")
    assert entry.maps == maps
    assert entry.levels == {"fine": maps[:2], "coarse": maps[-2:]}
    assert (entry.stride_px, entry.step_px, entry.embedding, entry.any_size) == (stride, step, maps[-1], any_size)
    assert entry.pooled is (maps is PYRAMID)
    net = entry.load()
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())
    with torch.inference_mode():
        answers = net(torch.zeros(2, 3, 2 * step, 3 * step))
    strides = [stride] * 4 if maps is BLOCKS else [8, 16, 32]
    assert [tuple(a.shape[-2:]) for a in answers] == [(2 * step // s, 3 * step // s) for s in strides]


def test_a_classifier_is_opened_as_its_backbone(hub_folder: Folder, copied: Folder) -> None:
    base, whole = copied("resnet"), hub_folder("classifier")
    stored = load_file(whole / "model.safetensors")
    kept = {key.removeprefix("resnet."): value for key, value in stored.items() if key.startswith("resnet.")}
    save_file(kept, base / "model.safetensors", {"format": "pt"})
    image = torch.rand(1, 3, 64, 64) * 255
    one, other = (backbone(f"hf:{folder}").load()(image) for folder in (base, whole))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_token_maps_lie_as_the_picture_does(hub_folder: Folder) -> None:
    net = backbone(f"hf:{hub_folder('vit')}").load()
    plain = torch.zeros(1, 3, 64, 96)
    spotted = plain.clone()
    spotted[..., 16:32, 64:80] = 255  # the cell in row 1, column 4
    change = (net(spotted)[0] - net(plain)[0]).norm(dim=1)[0]
    assert int(change.argmax()) == 1 * 6 + 4


def test_strides_are_the_nearest_to_those_wanted() -> None:
    assert hub._pyramid([4, 4, 8, 16, 32]) == {"stride_8": 2, "stride_16": 3, "stride_32": 4}
    assert hub._pyramid([4, 16, 32, 32]) == {"stride_4": 0, "stride_16": 1, "stride_32": 3}
    assert hub._pyramid([8, 16]) == {"stride_8": 0, "stride_16": 1}
    assert list(hub._blocks(13).values()) == [4, 6, 8, 10]


def test_identity_follows_the_files(copied: Folder) -> None:
    folder = copied("resnet")
    first = backbone(f"hf:{folder}").identity
    assert first.startswith("hf-resnet-")
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    second = backbone(f"hf:{folder}").identity
    weights = load_file(folder / "model.safetensors")
    save_file({key: value + 1 for key, value in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    third = backbone(f"hf:{folder}").identity
    assert len({first, second, third}) == 3


@pytest.mark.parametrize(
    ("told", "scaling"),
    [
        (None, hub.Scaling()),
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, hub.Scaling((0.5,) * 3, (0.25,) * 3)),
        (
            {"do_normalize": False, "do_flip_channel_order": True},
            hub.Scaling((0.0,) * 3, (1.0,) * 3, reversed=True),
        ),
        (
            {"do_rescale": False, "image_mean": [127.0] * 3, "image_std": [50.0] * 3},
            hub.Scaling((127.0,) * 3, (50.0,) * 3, 1.0),
        ),
    ],
)
def test_pixels_are_scaled_as_the_folder_says(
    told: dict[str, object] | None, scaling: hub.Scaling, copied: Folder
) -> None:
    folder = copied("resnet")
    if told is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(told))
    assert hub._scaling(str(folder), None) == scaling


def test_a_broken_scaling_file_is_named(copied: Folder) -> None:
    folder = copied("resnet")
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    with pytest.raises(InputError, match=r"preprocessor_config.json does not say image_mean and image_std"):
        backbone(f"hf:{folder}")


def test_pickles_are_not_read(copied: Folder) -> None:
    folder = copied("resnet")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"Only model.safetensors is read"):
        backbone(f"hf:{folder}")


def test_code_in_a_folder_is_not_run(copied: Folder) -> None:
    folder = copied("resnet")
    (folder / "code.py").write_text(f"import pathlib; pathlib.Path({str(folder / 'ran')!r}).touch()")
    told = json.loads((folder / "config.json").read_text())
    told |= {"model_type": "own", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="cannot be opened"):
        backbone(f"hf:{folder}")
    assert not (folder / "ran").exists()


def test_weights_with_a_hole_are_refused(copied: Folder) -> None:
    folder = copied("resnet")
    weights = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in weights.items() if "stages.2" not in key}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"lack \d+ parts, encoder.stages.2"):
        backbone(f"hf:{folder}")


def test_a_network_for_text_is_refused(hub_folder: Folder) -> None:
    with pytest.raises(InputError, match=r"\(bert\) does not answer an image with maps"):
        backbone(f"hf:{hub_folder('bert')}")


def test_an_unknown_name_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match=r"'hf:nobody/nothing' cannot be opened.*a local folder that holds config.json"
    ):
        backbone("hf:nobody/nothing")
    with pytest.raises(InputError, match="cannot be opened"):
        backbone(f"hf:{tmp_path}")


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(hub, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[vit\]'"):
        backbone("hf:anything")
