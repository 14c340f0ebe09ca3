"""What an image file says about itself before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from mmap import mmap

from sightline.core.errors import ImageError

Bytes = bytes | mmap

# One limit for every format and every reader: 20,000 x 10,000 px, decoded 0.6 GB. The size is in each header, so
# nothing larger is ever allocated.
MAX_PIXELS = 200_000_000
MAX_CHANNELS, MAX_BITS = 4, 32


@dataclass(frozen=True, slots=True)
class Header:
    """Kind (media type) of a file and its pictures' form.

    `height` and `width` are in px as stored, before `turn`, the EXIF orientation (1 to 8), is applied. `bits` are those
    of a sample as decoded; `full_scale` is the value of white where the file itself tells of another than these bits
    would hold (`maxval` of PGM, packed 12 bits). `pages` counts pictures that a viewer would show one after the other.
    """

    kind: str
    height: int
    width: int
    channels: int = 3
    bits: int = 8
    turn: int = 1
    full_scale: int | None = None
    pages: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in px as shown: upright."""
        return (self.width, self.height) if self.turn >= 5 else (self.height, self.width)

    def check(self, name: str) -> None:
        """Raise ImageError where the picture is too large, too deep, or one of several."""
        if self.height < 1 or self.width < 1:
            raise damaged(name, self.kind, "its header declares no pixels")
        if self.height * self.width > MAX_PIXELS:
            raise ImageError(
                f"{name}: {self.width} x {self.height} px is too large to decode, {MAX_PIXELS:,} px are allowed. "
                "Tile or shrink it first",
                "size",
            )
        if self.channels > MAX_CHANNELS or self.bits > MAX_BITS:
            raise ImageError(
                f"{name}: {self.channels} channels of {self.bits} bits: not a picture of a part. Save it as grey or RGB"
            )
        if self.pages > 1:
            raise ImageError(
                f"{name}: holds {self.pages} pictures, but only one can be inspected. Save each as its own file"
            )


def damaged(name: str, kind: str, what: str) -> ImageError:
    """The error for a picture whose decoder complained."""
    return ImageError(
        f"{name}: not a readable image (a damaged {_word(kind)} file: {what}). Copy or record the image again"
    )


def cut_off(name: str, kind: str) -> ImageError:
    """The error for a picture whose end is missing."""
    return ImageError(
        f"{name}: not a readable image (a {_word(kind)} file that is cut off: its end is missing). "
        "Copy or record the image again",
        "incomplete",
    )


def _word(kind: str) -> str:
    return "PGM or PPM" if kind.endswith("anymap") else kind.removeprefix("image/").upper()
