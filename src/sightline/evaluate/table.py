"""An evaluation as text for a terminal."""

from __future__ import annotations

import textwrap

from sightline.core.band import Verdict
from sightline.core.card import Bounded
from sightline.evaluate.bounds import share
from sightline.evaluate.evaluation import Evaluation
from sightline.evaluate.recognition import Recognition
from sightline.evaluate.types import TypeScores
from sightline.evaluate.wording import figure, gain, interval, milliseconds, of, percent, seen

WIDTH = 78
RULE = "─" * WIDTH


def table(evaluation: Evaluation) -> str:
    """The figures, each with the number of parts it rests on and, for rates, its bound at 95 %."""
    blocks = [
        _head(evaluation),
        _rates(evaluation),
        _metrics(evaluation),
        _verdicts(evaluation),
        _types(evaluation),
        *_recognition(evaluation),
        _notes(evaluation),
    ]
    return f"\n{RULE}\n".join("\n".join(block) for block in blocks if block)


def _head(evaluation: Evaluation) -> list[str]:
    card = evaluation.card
    right = f"{card.backbone}, {card.width} x {card.height} px"
    parts = f"{evaluation.n_good:,} good and {evaluation.n_defective:,} defective parts"
    left = f"{card.product}: {parts}"
    if len(left) + len(right) + 2 > WIDTH:
        return [left, right]
    return [left + right.rjust(WIDTH - len(left))]


def _rates(evaluation: Evaluation) -> list[str]:
    rows = [
        ("Escape", "defective judged OK", evaluation.escapes),
        ("Overkill", "good judged NG", evaluation.overkills),
        ("Review", "left to a person", evaluation.reviews),
    ]
    head = f"{'':<34}{'seen':>16}{'rate':>12}{'at most (95 %)':>16}"
    return [head, *(f"{name:<10}{what:<24}{_rate(bounded)}" for name, what, bounded in rows)]


def _rate(bounded: Bounded | None) -> str:
    rate = None if bounded is None else share(bounded)
    upper = None if bounded is None else bounded.upper
    return f"{seen(bounded):>16}{percent(rate):>12}{percent(upper):>16}"


def _metrics(evaluation: Evaluation) -> list[str]:
    scored = sum(not image.defective for image in evaluation.images)
    masks = sum(image.mask is not None for image in evaluation.images)
    rows = [
        (
            "Images",
            (("AUROC", figure(evaluation.image_auroc)), ("AP", figure(evaluation.image_ap)),
             ("F1-max", figure(evaluation.f1_max))),
            f"{scored:,} + {len(evaluation.images) - scored:,} images",
        ),
        (
            "Pixels",
            (("AUROC", figure(evaluation.pixel_auroc)), ("AUPRO", figure(evaluation.aupro)),
             ("to 5 %", figure(evaluation.aupro_05))),
            f"{masks:,} masks, {evaluation.regions:,} regions",
        ),
        (
            "Time",
            (("p50", milliseconds(evaluation.ms_p50)), ("p95", milliseconds(evaluation.ms_p95)),
             ("p99", milliseconds(evaluation.ms_p99))),
            f"{evaluation.timed:,} images",
        ),
    ]  # fmt: skip
    return [f"{name:<8}{_cells(cells)}{basis:>22}" for name, cells, basis in rows]


def _cells(cells: tuple[tuple[str, str], ...]) -> str:
    return "".join(f"{name:<7}{value:<9}" for name, value in cells)


def _verdicts(evaluation: Evaluation) -> list[str]:
    order = (Verdict.OK, Verdict.REVIEW, Verdict.NG)
    rows = [f"{'Verdict':<34}" + "".join(f"{verdict!s:>14}" for verdict in order)]
    for name, defective in (("good parts", False), ("defective parts", True)):
        counts = (evaluation.count(verdict, defective) for verdict in order)
        rows.append(f"{name:<34}" + "".join(f"{count:>14,}" for count in counts))
    return rows


def _types(evaluation: Evaluation) -> list[str]:
    if not evaluation.types:
        return []
    rows = [f"{'Defect type':<26}{'AUROC':>8}{'escaped':>16}{'rate':>12}{'at most (95 %)':>16}"]
    for kind in evaluation.types:
        name = textwrap.shorten(kind.name, 25, placeholder="…")
        rows.append(f"{name:<26}{figure(kind.auroc):>8}{_rate(kind.escapes)}")
    return rows


def _recognition(evaluation: Evaluation) -> list[list[str]]:
    """One block for types, one for grades, and one for what the figures are compared with."""
    found, blocks = evaluation.recognition, []
    if found is not None and found.types is not None:
        blocks.append(_known(found.types) + _places(found))
    if found is not None and found.grades is not None:
        adjacent = found.grades.adjacent_rate
        blocks.append(
            [f"Grades: quadratic-weighted kappa {interval(found.grades.kappa)}",
             f"within one grade {percent(adjacent.value)} of {adjacent.of:,} (at least {percent(adjacent.lower)})"]
        )  # fmt: skip
    return [*blocks, _compared(evaluation)]


def _known(found: TypeScores) -> list[str]:
    rows = [f"{'Named type':<22}{'right':>13}{'recall':>9}{'at least':>9}{'precision':>10}{'at least':>9}{'AP':>6}"]
    for kind in found.types:
        if kind.recall.of or kind.precision.of:
            name = textwrap.shorten(kind.name, 21, placeholder="…")
            right = f"{kind.recall.count:,} of {kind.recall.of:,}"
            rows.append(
                f"{name:<22}{right:>13}{percent(kind.recall.value):>9}{percent(kind.recall.lower):>9}"
                f"{percent(kind.precision.value):>10}{percent(kind.precision.lower):>9}{figure(kind.ap):>6}"
            )
    return [*rows, f"Balanced accuracy {interval(found.balanced_accuracy)}"]


def _places(found: Recognition) -> list[str]:
    """Maps, boxes, and whether stated probabilities hold."""
    rows, places, boxes, trust = [], found.places, found.boxes, found.confidence
    if places is not None:
        rows.append(f"Maps: Dice {figure(places.dice)}, IoU {figure(places.iou)} on {places.defective:,} defect maps")
    if boxes is not None:
        drawn = sum(kind.truths for kind in boxes.types)
        rows.append(f"Boxes: mAP50 {figure(boxes.map50)}, mAP50-95 {figure(boxes.map50_95)} on {drawn:,} boxes")
    if trust is not None:
        warmth = "" if found.temperature is None else f", temperature {found.temperature.value:.2f} (1 is right)"
        rows.append(f"Stated probabilities: calibration error {figure(trust.ece)}{warmth}")
    return rows


def _compared(evaluation: Evaluation) -> list[str]:
    rows, rules, faith = [], evaluation.baseline, evaluation.faithfulness
    if rules is not None:
        rows.append(f"Golden template (rules): AUROC {figure(rules.difference.first)}; the recipe gains {gain(rules)}")
    if faith is not None:
        rows.append(f"Heat: insertion less deletion {interval(faith.gain)} beyond a random map")
        if faith.pointing.of:
            rows.append(f"Heat points at the defect: {of(faith.pointing)}; by chance {percent(faith.by_chance)}")
    return rows


def _notes(evaluation: Evaluation) -> list[str]:
    wrapped = (textwrap.wrap(note, WIDTH, initial_indent="- ", subsequent_indent="  ") for note in evaluation.notes)
    return [line for note in wrapped for line in note]
