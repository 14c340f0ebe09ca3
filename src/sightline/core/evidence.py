"""What a recipe keeps to explain itself: names inside its graph, and crops of the good patches that it remembers.

It lies in the file's metadata beside the card, because a line reads metadata without any package for ONNX files, and is
looked at only when somebody asks for an explanation.
"""

from __future__ import annotations

import base64

from pydantic import Field, field_validator, model_validator

from sightline.core.card import METADATA_KEY, Part

EVIDENCE_KEY = f"{METADATA_KEY}_evidence"
MOST_CROPS = 400
MOST_SOURCES = 400
CROP_PX, VIEW_PX = 48, 64  # side of a kept crop, and of what it shows, in px of the recipe's input
ACROSS = 20  # crops in a row of the atlas
MOST_BYTES = 2**20  # of the atlas as text
START_OF_FRAME = (0xC0, 0xC1, 0xC2)  # JPEG markers that are followed by the picture's size


class Atlas(Part):
    """Crops of bank entries as one JPEG, `ACROSS` in a row, each `CROP_PX` wide and high.

    Crop i shows bank entry `entries[i]`, from the image `sources[source[i]]`, at `centres[i]`.
    """

    entries: tuple[int, ...] = Field(max_length=MOST_CROPS, description="bank entry of each crop, first level")
    sources: tuple[str, ...] = Field(max_length=MOST_SOURCES, description="file names of training images")
    source: tuple[int, ...] = Field(max_length=MOST_CROPS, description="of each crop: which of the sources")
    centres: tuple[tuple[float, float], ...] = Field(
        max_length=MOST_CROPS, description="of each crop: x and y as shares of its image's width and height"
    )
    jpeg: str = Field(max_length=MOST_BYTES, description="the crops: JPEG in base64")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) px of the picture."""
        return CROP_PX * -(-len(self.entries) // ACROSS), CROP_PX * min(ACROSS, max(1, len(self.entries)))

    @field_validator("jpeg")
    @classmethod
    def _a_jpeg(cls, text: str) -> str:
        # The size is read before anything is decoded: a few bytes of JPEG can unpack to gigabytes.
        if jpeg_size(base64.b64decode(text, validate=True)) is None:
            raise ValueError("the atlas is no JPEG")
        return text

    @model_validator(mode="after")
    def _fits(self) -> Atlas:
        if not len(self.entries) == len(self.source) == len(self.centres):
            raise ValueError("the atlas lists its crops unequally")
        if not all(0 <= number < len(self.sources) for number in self.source):
            raise ValueError("a crop of the atlas comes from an image that it does not name")
        if min(self.entries, default=0) < 0:
            raise ValueError("a crop of the atlas shows no entry of the bank")
        if jpeg_size(base64.b64decode(self.jpeg)) != self.size:
            raise ValueError(f"the atlas is not {self.size[1]} x {self.size[0]} px")
        return self


class Evidence(Part):
    """What an explanation needs to know of the graph, and what the memory holds."""

    maps: tuple[str, ...] = Field(default=(), max_length=64, description="the trunk's maps that the recogniser reads")
    level: str = Field(default="fine", pattern=r"^[a-z_]+$", description="the level whose entries the atlas shows")
    atlas: Atlas | None = Field(default=None, description="None: the memory was not drawn")


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) of a JPEG from its header; None where it is none."""
    place = 2 if data.startswith(b"\xff\xd8") else len(data)
    while place + 9 <= len(data) and data[place] == 0xFF:
        if data[place + 1] in START_OF_FRAME:
            return int.from_bytes(data[place + 5 : place + 7], "big"), int.from_bytes(
                data[place + 7 : place + 9], "big"
            )
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None
