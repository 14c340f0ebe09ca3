"""Suggested labels: what a recipe sees on an image, as marks that a person accepts or corrects."""

from __future__ import annotations

from dataclasses import replace

from sightline.core.region import Polygons, Region, overlap
from sightline.core.result import Verdict
from sightline.runtime.inspection import Inspection
from sightline.store.annotations import DEFECTIVE, GOOD, UNKNOWN, Annotation

UNNAMED = ("unknown", "anomaly", "")  # what a recipe calls a place that it knows no type for
SAME_MARKS = 0.9  # intersection over union from which on marks count as left alone


def suggest(inspection: Inspection, recipe_hash: str) -> Annotation:
    """What the recipe `recipe_hash` would say of an image: label, types, and the outlines of its heat as polygons.

    OK suggests good, NG defective; of a part for REVIEW it shows the places and leaves the word to the person.
    """
    outlines = [(defect.type, defect.contour) for defect in inspection.defects if len(defect.contour) >= 3]
    regions = tuple(Region(name or "unknown", Polygons.united([ring.astype(float)])) for name, ring in outlines)
    label = {Verdict.OK: GOOD, Verdict.NG: DEFECTIVE}.get(inspection.verdict, UNKNOWN)
    if label == GOOD:
        regions = ()
    return Annotation(
        label=label,
        author=f"recipe {recipe_hash[:12]}",
        types=tuple(dict.fromkeys(region.type for region in regions if region.type not in UNNAMED)),
        regions=regions,
        grade=inspection.grade,
        suggested_by=recipe_hash,
    )


def settle(suggested: Annotation, given: Annotation, height: int, width: int) -> Annotation:
    """A person's annotation with what became of the suggestion: accepted, or corrected.

    Accepted is the same label, types and grade, and marks that overlap by nine tenths of their union (image of
    `height` x `width` px).
    """
    same = (suggested.label, sorted(suggested.types), suggested.grade) == (
        given.label,
        sorted(given.types),
        given.grade,
    )
    same = same and overlap(suggested.regions, given.regions, height, width) >= SAME_MARKS
    return replace(given, suggested_by=suggested.suggested_by, outcome="accepted" if same else "corrected")
