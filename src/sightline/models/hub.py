"""Any backbone that `transformers` knows, from the Hugging Face hub or a local folder: CNN, ViT or hybrid.

Only safetensors are read and no code of the hub is run: neither pickles nor `trust_remote_code`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sightline.core.errors import InputError, MissingExtraError, WeightsError
from sightline.models.standardise import Scaling, Standardise

STRIDES = (8, 16, 32)  # wanted of a pyramid
DEPTHS = (1 / 3, 1 / 2, 2 / 3, 5 / 6)  # wanted of a backbone whose blocks are all on one grid
PROBE_PX = 256
SCALING_FILE = "preprocessor_config.json"
# Families whose export was seen to hold for all input sizes. MobileViT's holds for one only, and Swin's takes four
# times as long for all sizes as for one.
ANY_SIZE = {"resnet", "convnext", "vit", "dinov2", "dinov3_vit"}
# Weights that a checkpoint may lack: final norms of stages start at one and zero, the others are not used.
FRESH = re.compile(r"^hidden_states_norms\.|^layernorm\.|^(\w+\.)?pooler\.|mask_token$")


class Facts(NamedTuple):
    """What is known of a backbone: what tells its weights from others, its maps by name, and its grid.

    `indices` says where in the network's answer each map is found, `strides` its px per cell. `one_grid`: all
    maps have the same cells, as in a ViT. `any_size`: one export holds for all input sizes.
    """

    identity: str
    indices: dict[str, int]
    strides: dict[str, int]
    step_px: int
    one_grid: bool
    any_size: bool


class HubBackbone(nn.Module):
    """A network of `transformers` as a backbone.

    Input: (N, 3, H, W) float32, RGB in 0..255. Output: the maps at `indices`, each (N, C, h, w) float32.
    """

    def __init__(self, net: nn.Module, scaling: Scaling, indices: Sequence[int] | None = None) -> None:
        super().__init__()
        self.net = net
        self.standardise = Standardise(scaling)
        self.indices = indices
        self.options: dict[str, bool] = {"return_dict": True}
        known = signature(net.forward).parameters
        if "interpolate_pos_encoding" in known:
            self.options["interpolate_pos_encoding"] = True  # else a ViT takes one input size only
        if not hasattr(net, "out_features"):
            self.options["output_hidden_states"] = True

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        answer = self.net(self.standardise(image), **self.options)
        states = answer.feature_maps if "feature_maps" in answer else answer.hidden_states
        indices = range(len(states)) if self.indices is None else self.indices
        return tuple(self._as_map(states[index], image) for index in indices)

    def attention(self, image: Tensor) -> tuple[Tensor, ...]:
        """Attention (N, heads, T, T) of every block for images as in `forward`; empty where the network has none."""
        known = signature(self.net.forward).parameters
        options = {key: value for key, value in self.options.items() if key == "interpolate_pos_encoding"}
        if "output_attentions" not in known and "kwargs" not in known:
            return ()
        answer = self.net(self.standardise(image), output_attentions=True, return_dict=True, **options)
        return tuple(getattr(answer, "attentions", None) or ())

    def _as_map(self, state: Tensor, image: Tensor) -> Tensor:
        """Tokens (N, T, C) -> (N, C, h, w): the patches are the last, after class and register tokens."""
        if state.ndim == 4:
            return state
        patch = patch_px(self.net.config)
        high, wide = image.shape[2] // patch, image.shape[3] // patch
        return state[:, -high * wide :].transpose(1, 2).reshape(state.shape[0], state.shape[2], high, wide)


def facts(name: str) -> Facts:
    """What there is to know of a hub name or local folder. Raises InputError, WeightsError or MissingExtraError."""
    files = [file for file in sorted(Path(name).glob("*")) if file.suffix in {".json", ".safetensors"}]
    return _facts(name, tuple((file.name, (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files))


@lru_cache(maxsize=8)
def _facts(name: str, stamps: tuple[tuple[str, int, int], ...]) -> Facts:
    """As `facts`, once per state of the folder's files."""
    config = _config(name)
    identity = _identity(name, config, [Path(name, file) for file, _, _ in stamps])
    step = math.lcm(32, patch_px(config))
    side = step * max(1, PROBE_PX // step)
    try:
        with torch.inference_mode():
            maps = _open(name, config, None)(torch.zeros(1, 3, side, side))
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"'{name}' ({config.model_type}) does not answer an image with maps: {error}. "
            "Choose a CNN, vision transformer or hybrid for images"
        ) from error
    strides = [side // values.shape[-1] for values in maps]
    one_grid = len(set(strides)) == 1
    indices = _blocks(len(strides)) if one_grid else _pyramid(strides)
    if len(indices) < 2:
        raise InputError(f"'{name}' gives one map only, two are needed. Choose a network with more stages")
    chosen = {key: strides[index] for key, index in indices.items()}
    step_px = patch_px(config) if one_grid else max(chosen.values())
    return Facts(identity, indices, chosen, step_px, one_grid, config.model_type in ANY_SIZE)


def load(name: str, indices: Sequence[int]) -> HubBackbone:
    """The pretrained backbone in eval mode, frozen; its maps are those at `indices`. Raises as `facts`."""
    return _open(name, _config(name), indices)


def _blocks(count: int) -> dict[str, int]:
    """Maps of a backbone with one grid; the first of `count` states is its embedding, before any block."""
    numbers = sorted({max(1, round(depth * (count - 1))) for depth in DEPTHS})
    return {f"block_{number}": number for number in numbers}


def _pyramid(strides: Sequence[int]) -> dict[str, int]:
    """The deepest map at each of the strides nearest to those wanted."""
    deepest = {stride: index for index, stride in enumerate(strides)}
    near = sorted({min(deepest, key=lambda stride: abs(math.log(stride / wanted))) for wanted in STRIDES})
    return {f"stride_{stride}": deepest[stride] for stride in near}


def patch_px(config: Any) -> int:
    """Side of a transformer's patch in px; 1 where the network has none."""
    patch = getattr(config, "patch_size", None) or 1
    return int(patch if isinstance(patch, int) else max(patch))


def _transformers() -> Any:
    try:
        return import_module("transformers")
    except ImportError as error:
        raise MissingExtraError("transformers", "vit") from error


def _config(name: str) -> Any:
    """The network's description; what is in the hub's cache is taken from there, so that a line needs no network."""
    auto = _transformers().AutoConfig
    try:
        try:
            return auto.from_pretrained(name, trust_remote_code=False, local_files_only=True)
        except OSError:
            return auto.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"the backbone 'hf:{name}' cannot be opened: {str(error).splitlines()[0]} "
            "Give a name from huggingface.co while this machine is online, or hf: and a local folder that "
            "holds config.json and model.safetensors"
        ) from error


def _open(name: str, config: Any, indices: Sequence[int] | None) -> HubBackbone:
    library = _transformers()
    options: dict[str, Any] = {"trust_remote_code": False, "use_safetensors": True, "attn_implementation": "eager"}
    options |= {"revision": getattr(config, "_commit_hash", None) or "main", "output_loading_info": True}
    # AutoBackbone asks the hub even for a folder, so its table is used directly; what is not in it (ViT, MobileViT)
    # shows its hidden states.
    kind = library.MODEL_FOR_BACKBONE_MAPPING.get(type(config), library.AutoModel)
    if kind is not library.AutoModel:
        config.out_features = list(config.stage_names)
        config.apply_layernorm, config.reshape_hidden_states = False, True
    try:
        with _quiet(library.utils.logging):
            net, report = kind.from_pretrained(name, config=config, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"the weights of 'hf:{name}' cannot be read: {str(error).splitlines()[0]} "
            "Only model.safetensors is read; save the model in that format, or choose another"
        ) from error
    fresh = sorted(key for key in report["missing_keys"] if not FRESH.search(key))
    if fresh:
        raise WeightsError(
            f"the weights of 'hf:{name}' lack {len(fresh)} parts, {fresh[0]} first. Choose a whole model"
        )
    extractor = HubBackbone(net, _scaling(name, config), indices)
    return extractor.eval().requires_grad_(False)


@contextmanager
def _quiet(speech: Any) -> Iterator[None]:
    """No bars and no load report: what matters of it is checked, and said in our own words."""
    level, bars = speech.get_verbosity(), speech.is_progress_bar_enabled()
    speech.set_verbosity_error()
    speech.disable_progress_bar()
    try:
        yield
    finally:
        speech.set_verbosity(level)
        if bars:
            speech.enable_progress_bar()


def _scaling(name: str, config: Any) -> Scaling:
    """How the network wants its pixels, from its preprocessor's description; ImageNet's way where there is none."""
    path = import_module("transformers.utils").cached_file(
        name,
        SCALING_FILE,
        revision=getattr(config, "_commit_hash", None) or "main",
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if path is None:
        return Scaling()
    try:
        preprocessing = json.loads(Path(path).read_bytes())
        plain = not preprocessing.get("do_normalize", True)
        mean, std = ((0.0,) * 3, (1.0,) * 3) if plain else (preprocessing["image_mean"], preprocessing["image_std"])
        factor = (
            float(preprocessing.get("rescale_factor", Scaling().factor))
            if preprocessing.get("do_rescale", True)
            else 1.0
        )
        return Scaling(tuple(mean), tuple(std), factor, bool(preprocessing.get("do_flip_channel_order", False)))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not say image_mean and image_std ({error}). Correct it or remove it") from error


def _identity(name: str, config: Any, files: Sequence[Path]) -> str:
    """What tells these weights from others: the hub's commit, or a hash over a folder's files."""
    label = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-40:]
    commit = getattr(config, "_commit_hash", None)
    if not files and commit:
        return f"hf-{label}-{commit[:12]}"
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            total.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return f"hf-{Path(name).name or label}-{total.hexdigest()[:12]}"
