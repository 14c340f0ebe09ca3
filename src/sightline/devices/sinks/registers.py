"""Registers: the handshake as 16-bit words, the same for Modbus and S7. The map: docs/how-to/sinks/modbus.md."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from sightline.devices.sinks.handshake import Inputs, Outputs

INPUTS, OUTPUTS = 24, 48  # words
TEXT_WORDS, TYPE_WORDS = 16, 8
MAP_VERSION = 2


def read_inputs(words: Sequence[int]) -> Inputs:
    """24 words that the PLC writes. A part id as text goes before one as number; what is no ASCII becomes "?"."""
    control, number = words[0], words[4] << 16 | words[5]
    text = _untext(words[6 : 6 + TEXT_WORDS]).strip()
    text = "".join(c if c.isprintable() and c.isascii() else "?" for c in text)
    return Inputs(
        trigger=bool(control & 1),
        acknowledge=bool(control & 2),
        recipe_request=bool(control & 4),
        reset=bool(control & 8),
        heartbeat=words[1],
        recipe_id=words[2],
        part_id=text or (str(number) if number else ""),
    )


def write_inputs(inputs: Inputs) -> list[int]:
    """The inverse of `read_inputs`: what a PLC, or its simulator, writes."""
    levels = (inputs.trigger, inputs.acknowledge, inputs.recipe_request, inputs.reset)
    control = sum(1 << bit for bit, on in enumerate(levels) if on)
    return [control, inputs.heartbeat, inputs.recipe_id, 0, 0, 0, *_text(inputs.part_id), 0, 0]


def write_outputs(outputs: Outputs) -> list[int]:
    """48 words that the station writes."""
    o = outputs
    verdict = [o.valid and o.verdict == code for code in (1, 2, 3)]
    wrong = o.error != 0 or o.station_error != 0
    levels = (o.ready, o.busy, o.valid, *verdict, wrong, o.late, o.recipe_done, o.pilot, o.inspected)
    status = sum(1 << bit for bit, on in enumerate(levels) if on)
    # A score that is not a number is shown as the largest one: higher means more defective.
    score_f32 = 3.4e38 if math.isnan(o.score) else min(max(o.score, -3.4e38), 3.4e38)
    score = struct.unpack(">HH", struct.pack(">f", score_f32))
    number, duration = o.number, min(o.duration_ms, 0xFFFFFFFF)
    words = [status, o.heartbeat, o.verdict, o.error, o.recipe_id, o.station_error, number >> 16, number & 0xFFFF]
    words += [*score, duration >> 16, duration & 0xFFFF, *_text(o.part_id), MAP_VERSION]
    area = min(o.defect_area_px, 0xFFFFFFFF)
    words += [o.defects, o.defect_view, *(min(max(side, 0), 0xFFFF) for side in o.defect_box)]
    words += [area >> 16, area & 0xFFFF, *_text(o.defect_type, TYPE_WORDS)]
    return words + [0] * (OUTPUTS - len(words))


def read_outputs(words: Sequence[int]) -> Outputs:
    """The inverse of `write_outputs`: what a PLC, or its simulator, reads."""
    status = words[0]
    return Outputs(
        ready=bool(status & 1),
        busy=bool(status & 2),
        valid=bool(status & 4),
        late=bool(status & 1 << 7),
        recipe_done=bool(status & 1 << 8),
        pilot=bool(status & 1 << 9),
        inspected=bool(status & 1 << 10),
        heartbeat=words[1],
        verdict=words[2],
        error=words[3],
        recipe_id=words[4],
        number=words[6] << 16 | words[7],
        score=struct.unpack(">f", struct.pack(">HH", words[8], words[9]))[0],
        duration_ms=words[10] << 16 | words[11],
        part_id=_untext(words[12 : 12 + TEXT_WORDS]),
        station_error=words[5],
        defects=words[29],
        defect_view=words[30],
        defect_box=(words[31], words[32], words[33], words[34]),
        defect_area_px=words[35] << 16 | words[36],
        defect_type=_untext(words[37 : 37 + TYPE_WORDS]),
    )


def _text(text: str, words: int = TEXT_WORDS) -> tuple[int, ...]:
    data = text.encode("ascii", "replace")[: 2 * words]
    return struct.unpack(f">{words}H", data.ljust(2 * words, b"\0"))


def _untext(words: Sequence[int]) -> str:
    return struct.pack(f">{len(words)}H", *words).split(b"\0")[0].decode("ascii", "replace")
