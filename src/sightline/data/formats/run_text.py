"""Run lengths as COCO's compressed text: 5 bits per character, each count as the difference to the last but one."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.core.errors import InputError


def counts_from_text(text: str) -> tuple[int, ...]:
    """The run lengths. Raises InputError where the text is not of this kind or is cut off."""
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise InputError(
                f"the compressed run lengths hold '{letter}', which is out of place. Export the mask again"
            )
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise InputError("the compressed run lengths are cut off. Export the mask again")
    return tuple(counts)


def text_from_counts(counts: Sequence[int]) -> str:
    """The text of run lengths."""
    letters = []
    for place, count in enumerate(counts):
        value, more = count - (counts[place - 2] if place > 2 else 0), True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            letters.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(letters)
