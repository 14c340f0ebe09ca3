"""What a place has learned since its recipe was made: more good patches, and its own light, beside the file.

The memory banks of a recipe are inputs of its graph that have a default (docs/reference/recipe.md), so they are
replaced at every run without a new file. An adaptation belongs to one recipe file and is refused for any other.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import RecipeError
from sightline.imaging.image import Image

SCHEMA = 1
MAX_BYTES = 64 * 2**20  # of all arrays, unpacked
BANKS = ("bank_fine", "bank_coarse")  # inputs of the graph
OWN = 0  # origin of an entry that the recipe came with


@dataclass(frozen=True)
class Adaptation:
    """`banks` (M, d) float32 by the name of the graph's input, and of each entry the number of the change that brought
    it in `origins` (M,) int32, `OWN` for those of the recipe. `gain` and `offset` (3,) float32 bring the colours of the
    input, 0..255, to those that the recipe has learned: gain x value + offset. `recipe` is the SHA-256 of its file,
    `name` the digest of the adaptation's own, where it was read from one.
    """

    recipe: str
    banks: Mapping[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    origins: Mapping[str, NDArray[np.int32]] = field(default_factory=dict, repr=False)
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    name: str = ""

    def __post_init__(self) -> None:
        """Raises RecipeError where it is not one."""
        for name, bank in self.banks.items():
            origin = self.origins.get(name)
            if name not in BANKS or bank.ndim != 2 or not len(bank) or bank.dtype != np.float32:
                raise RecipeError(f"an adaptation has no bank '{name}' of that form. Learn it again")
            if origin is None or origin.shape != bank.shape[:1] or not np.isfinite(bank).all():
                raise RecipeError(f"the adaptation's bank '{name}' is damaged. Learn it again")
        if not np.isfinite([*self.gain, *self.offset]).all() or min(self.gain) <= 0:
            raise RecipeError(
                f"the adaptation's light (gain {self.gain}, offset {self.offset}) is none. Learn it again"
            )

    @property
    def changes_light(self) -> bool:
        """Whether the input's colours are changed."""
        return (self.gain, self.offset) != ((1.0,) * 3, (0.0,) * 3)

    @property
    def added(self) -> int:
        """Entries that the recipe did not come with."""
        return sum(int((origin != OWN).sum()) for origin in self.origins.values())

    def without(self, change: int) -> Adaptation:
        """The same without what one change has brought into the banks."""
        stays = {name: origin != change for name, origin in self.origins.items()}
        banks = {name: bank[stays[name]] for name, bank in self.banks.items()}
        origins = {name: origin[stays[name]] for name, origin in self.origins.items()}
        return Adaptation(self.recipe, banks, origins, self.gain, self.offset)

    def apply_light(self, image: Image, inner: tuple[int, int, int, int]) -> Image:
        """The input (H, W, 3) uint8 with its colours corrected inside of `inner` (x, y, width, height) px."""
        table = np.arange(256)[:, None] * np.array(self.gain) + np.array(self.offset)
        levels = np.clip(np.rint(table), 0, 255).astype(np.uint8)
        x, y, w, h = inner
        corrected = image.copy()
        corrected[y : y + h, x : x + w] = cv2.LUT(image[y : y + h, x : x + w], levels[None])
        return corrected

    def to_bytes(self) -> bytes:
        """The adaptation as a file: numpy's npz without pickles."""
        told = {"schema": SCHEMA, "recipe": self.recipe, "gain": self.gain, "offset": self.offset}
        arrays: dict[str, NDArray[Any]] = {"told": np.frombuffer(json.dumps(told).encode(), np.uint8)}
        arrays |= dict(self.banks) | {f"origin_{name}": origin for name, origin in self.origins.items()}
        file = io.BytesIO()
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
        return file.getvalue()

    @classmethod
    def of(cls, data: bytes) -> Adaptation:
        """What `to_bytes` wrote. Raises RecipeError for anything else."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                    raise RecipeError(f"an adaptation unpacks to more than {MAX_BYTES >> 20} MB. Learn it again")
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                told = json.loads(file["told"].tobytes())
                if told["schema"] > SCHEMA:
                    raise RecipeError(
                        "the adaptation was written by a newer Sightline. Upgrade: pip install -U sightline"
                    )
                strange = set(file.files) - {"told", *BANKS, *(f"origin_{name}" for name in BANKS)}
                if strange:
                    raise RecipeError(f"an adaptation holds what it may not: {sorted(strange)}. Learn it again")
                banks = {name: file[name] for name in BANKS if name in file}
                origins = {name: file[f"origin_{name}"].astype(np.int32) for name in banks}
            gain, offset = (tuple(float(value) for value in told[name]) for name in ("gain", "offset"))
            if len(gain) != 3 or len(offset) != 3:
                raise ValueError("not three colours")
            return cls(str(told["recipe"]), banks, origins, gain, offset, digest_of(data))
        except RecipeError:
            raise
        except (
            ValueError,
            KeyError,
            TypeError,
            OSError,
            EOFError,
            zlib.error,
            zipfile.BadZipFile,
            RuntimeError,
        ) as error:
            # numpy's and zipfile's own ways to say: another file, damaged, cut off, another method, a password.
            raise RecipeError(f"an adaptation is damaged ({error}). Learn it again") from error


def digest_of(data: bytes) -> str:
    """What records call an adaptation: the first 16 hex digits of its file's SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]
