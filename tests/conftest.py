"""What all tests share: drawn parts on disk, and one tiny recipe that is trained once per session."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.drifting import part, usual  # noqa: F401 - fixtures
from tests.postgresql import pool, postgresql, server  # noqa: F401 - fixtures

import sightline
from sightline.core.sample import Sample
from sightline.data.dataset import Dataset
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe

HEIGHT, WIDTH = 96, 128
GOOD, SCRATCHED = 14, 6
# The input is as large as the images, so a cell of the heat map is 8 image px. One thread: two cores are shared.
TINY = {
    **{"side_px": 112, "bank_size": 256, "sample_patches": 4000, "threads": 1},
    # All of these are learned in tests of their own.
    **{"classify": False, "discriminator_weight": 0.0, "light_directions": 0, "synthetic": 24},
}

TIMED = (
    *("tests/line/", "tests/devices/", "tests/contracts/", "tests/cli/", "tests/web/", "tests/operations/"),
    "tests/runtime/test_alignment.py",
)
RERUNS = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that watch other processes by the clock get another try, and the summary says so.

    Their deadlines are those of a line; a shared machine that stands still for two seconds, as was seen, breaks them.
    """
    root = Path(__file__).parent.parent
    for item in items:
        if item.path.relative_to(root).as_posix().startswith(TIMED):
            item.add_marker(pytest.mark.flaky(reruns=RERUNS, reruns_delay=1))


Draw = Callable[..., tuple[NDArray[np.uint8], NDArray[np.uint8]]]
Write = Callable[..., Path]
Train = Callable[..., Recipe]


def draw_part(
    seed: int, flawed: bool = False, height: int = HEIGHT, width: int = WIDTH
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A woven plate with a dark disc, (H, W, 3) RGB, and the mask (H, W) of its yellow flaw, if it has one."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    weave = 110 + 25 * np.sin(x / 5 + rng.uniform(0, 0.6)) * np.cos(y / 7) + rng.normal(0, 4, (height, width))
    image = np.repeat(weave[..., None], 3, 2) + np.array([10, 0, -10]) + rng.normal(0, 3)
    image = np.clip(image, 0, 255).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(image, (width // 2 + int(rng.integers(-2, 3)), height // 2), 22, (60, 70, 90), -1, cv2.LINE_AA)
    if flawed:
        place = int(rng.integers(20, width - 20)), int(rng.integers(20, height - 20))
        cv2.circle(image, place, 7, (230, 230, 20), -1)
        cv2.circle(mask, place, 7, 255, -1)
    return image, mask


def write_rgb(path: Path, image: NDArray[np.generic]) -> Path:
    """Write an RGB or grey array in the format of the suffix, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, image if image.ndim == 2 else image[..., ::-1])
    assert done
    path.write_bytes(data.tobytes())
    return path


@pytest.fixture(scope="session")
def draw() -> Draw:
    return draw_part


@pytest.fixture(scope="session")
def write() -> Write:
    return write_rgb


@pytest.fixture(scope="session")
def parts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with masks: 14 good parts and 6 with a flaw. Shared: do not write into it."""
    folder = tmp_path_factory.mktemp("shared") / "plates"
    for seed in range(GOOD):
        write_rgb(folder / f"images/good/{seed:02}.png", draw_part(seed)[0])
    for seed in range(100, 100 + SCRATCHED):
        image, mask = draw_part(seed, flawed=True)
        write_rgb(folder / f"images/stain/{seed}.png", image)
        write_rgb(folder / f"masks/stain/{seed}.png", mask)
    return folder


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """What the test starts hears Ctrl-C, also where a shell in the background had the tests ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def parts(parts_folder: Path) -> Dataset:
    return Dataset.open(parts_folder)


@pytest.fixture(scope="session")
def train_tiny() -> Train:
    """Train on few pixels and a small bank, under three seconds."""

    def train(samples: Iterable[Sample], **options: object) -> Recipe:
        return sightline.train(samples, **{**TINY, **options})

    return train


@pytest.fixture(scope="session")
def recipe(parts: Dataset, train_tiny: Train) -> Recipe:
    return train_tiny(parts)


@pytest.fixture(scope="session")
def recipe_file(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recipe.save(tmp_path_factory.mktemp("recipe") / "plates.onnx")


@pytest.fixture(scope="session")
def judge(recipe: Recipe) -> Inspector:
    """The shared recipe at work."""
    return Inspector(recipe, threads=1)


@pytest.fixture(scope="session")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of tiny networks with random weights, as `transformers` saves them. Shared: do not write into them."""
    import torch
    import transformers as t

    def make(kind: str) -> object:
        stages = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
        blocks = {"hidden_size": 16, "num_hidden_layers": 6, "num_attention_heads": 2}
        small = {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 8, 16, 16, 24, 32], "num_attention_heads": 2}
        networks: dict[str, Callable[[], object]] = {
            "resnet": lambda: t.ResNetModel(t.ResNetConfig(embedding_size=8, layer_type="basic", **stages)),
            "classifier": lambda: t.ResNetForImageClassification(
                t.ResNetConfig(embedding_size=8, layer_type="basic", **stages)
            ),
            "convnext": lambda: t.ConvNextModel(t.ConvNextConfig(**stages)),
            "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(image_size=70, patch_size=14, **blocks)),
            "vit": lambda: t.ViTModel(t.ViTConfig(image_size=64, patch_size=16, intermediate_size=32, **blocks)),
            "mobilevit": lambda: t.MobileViTModel(t.MobileViTConfig(**small)),
            "bert": lambda: t.BertModel(t.BertConfig(intermediate_size=32, vocab_size=64, **blocks)),
        }
        return networks[kind]()

    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            torch.manual_seed(0)
            made[kind] = tmp_path_factory.mktemp("hub") / kind
            make(kind).save_pretrained(made[kind])  # type: ignore[attr-defined]
        return made[kind]

    return folder


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A TCP port on loopback that nobody listens on."""

    def port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return port
