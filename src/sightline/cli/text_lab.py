"""What the commands of the lab tell a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.core.card import Card
    from sightline.evaluate.comparison import Comparison
    from sightline.evaluate.evaluation import Evaluation
    from sightline.operations.batch import BatchSummary
    from sightline.operations.doctor import Check
    from sightline.operations.retraining import TrainedProduct
    from sightline.train.search.result import SearchResult

DEMO = {  # what begins
    "draw": "1. Photographing sample parts ({product}) into {parts}",
    "learn": "2. Learning good parts: sightline train {parts} -o {recipe}",
    "judge": "3. Inspecting parts it has never seen: sightline inspect {recipe} ... --overlays {overlays}",
    "measure": "4. Measuring: sightline evaluate {recipe} {parts} --report {report}",
}


def train(figures: dict[str, Any], card: Card) -> str:
    """What a person wants to know after a training."""
    promises = "".join(f"\n  - {line}" for line in (*card.promises, *card.calibration.limits))
    between = "REVIEW between" if card.band.low < card.band.high else "no REVIEW"
    limits = f"OK up to {card.band.low:.2f}, NG above {card.band.high:.2f}, {between}."
    if card.without_good:
        limits = f"Never OK. NG where a type is named and the score is at most {card.band.high:.2f}, else REVIEW."
    backbone = f"\nBackbone {card.choices['backbone']}" if "backbone" in card.choices else ""
    return (
        f"{figures['recipe']}: learned {card.product} from {figures['images']} images in {figures['seconds']:.1f} s "
        f"({card.backbone}, {card.width} x {card.height} px)\n"
        f"{limits} Basis:{promises}{backbone}"
    )


def search(result: SearchResult, output: Path) -> str:
    """What a person wants to know after a search."""
    card: Card = result.recipe.card
    promises = "".join(f"\n  - {line}" for line in card.promises)
    return f"{result}\n{output}: {card.backbone}, {card.width} x {card.height} px. Basis of its thresholds:{promises}"


def export(figures: dict[str, Any]) -> str:
    """What was written, how it was proven, and what to do with it."""
    proof, smaller = figures["parity"], figures["bytes"] / figures["parent_bytes"]
    lines = [f"{figures['recipe']}: {figures['to']}, {figures['bytes'] / 1e6:.1f} MB ({smaller:.0%} of the recipe)"]
    if "auroc" in figures:
        lines.append(
            f"Beside the recipe, on {figures['good']} good and {figures['defective']} defective parts that it was not "
            f"made from: {proof['verdict_flips']} of {proof['images']} verdicts differ, none of them a defective part "
            f"called OK; scores differ by at most {proof['max_relative_difference']:.2g}"
        )
        if figures["auroc"] is not None:
            lines[-1] += f"; image AUROC {figures['auroc']:.4f}, before {figures['auroc_before']:.4f}"
        lines.append(
            "The rates that the recipe states were counted in floats: they hold as far as these verdicts agree."
        )
    else:
        lines.append(
            f"Every output equals the recipe's on {proof['images']} test images: they differ by at most "
            f"{proof['max_relative_difference']:.2g}"
        )
    return "\n".join([*lines, f"Next: {figures['next']}"])


def batch(summary: BatchSummary) -> str:
    """Where the rows are, and what they come to."""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in summary.verdicts.items())
    text = f"{summary.results}: {summary.images} images in {summary.seconds:.1f} s: {verdicts}"
    if earlier := summary.blocks - summary.computed:
        text += f"\n{earlier} of {summary.blocks} blocks are from an earlier run"
    if summary.not_inspected:
        text += f"\n{summary.not_inspected} could not be inspected: they are NG, and their rows say why"
    if summary.lost:
        text += f"\n{len(summary.lost)} of them ended their process; the same command tries them again"
    return text


def train_all(one: TrainedProduct) -> str:
    """One line per product."""
    if one.figures is None:
        return f"{one.product}: no recipe: {one.error}"
    return f"{one.recipe}: learned from {one.figures['images']} images in {one.figures['seconds']:.1f} s"


def compare(found: Comparison) -> str:
    """What a person wants to know before taking another recipe."""
    from sightline.evaluate.report.comparison import text

    return text(found)


def inspect(result: dict[str, Any]) -> str:
    """One line for people."""
    if result.get("error"):
        return f"NG      {'-':>8}  {_on_one_line(result['image'])}: not judged: {_on_one_line(result['error'])}"
    found = len(result["defects"])
    regions = f"  {found} place{'s' * (found != 1)}" if found else ""
    ms = result["times_ms"]["total"]
    figures = f"{result['verdict']:<7} {result['score']:8.3f}  p {result['p_value']:.3f}  {ms:6.1f} ms"
    line = f"{figures}  {_on_one_line(result['image'])}"
    line += "  (accurate recipe)" if result.get("judged_by") == "accurate" else ""
    why = f"\n        why: {_on_one_line(result['reason'])}" if result.get("reason") else ""
    return line + regions + _named(result) + why + "".join(f"\n        note: {note}" for note in result["warnings"])


def _named(result: dict[str, Any]) -> str:
    """The types that the part is said to carry, the likeliest first, then those of outlined places, and the grade."""
    from sightline.runtime.recognition import SURE

    types = {name: share for name, share in result.get("types", {}).items() if share is not None}
    if not types:
        return "" if result["grade"] is None else f"  grade {result['grade']}"
    own = sorted((name for name, share in types.items() if share >= SURE), key=lambda name: -types[name])
    names = dict.fromkeys([*own, *(defect["type"] for defect in result["defects"])])
    named = [f"{name} {types[name]:.0%}" if name in types else name for name in names]
    return ("  " + ", ".join(named) if named else "") + (
        "" if result["grade"] is None else f"  grade {result['grade']}"
    )


def _on_one_line(name: str) -> str:
    """A file's name that cannot forge a line of its own."""
    return name.replace("\n", "\\n")


def explain(result: dict[str, Any]) -> str:
    """The explanation for people."""
    if result.get("error"):
        return f"{result['image']}: NG, not judged: {result['error']}"
    notes = "".join(f"\n  note: {note}" for note in (*result["warnings"], *result["notes"]))
    return f"{result['image']}: {result['explanation']}\n  picture: {result['picture']}{notes}"


def teach(figures: dict[str, Any]) -> str:
    """What a person wants to know after teaching."""
    left_out = figures["recognised_when_left_out"]
    rows = [
        f"{figures['recipe']}: knows '{figures['type']}' after {figures['seconds']:.1f} s",
        f"Of {left_out['of']} examples, {left_out['count']} were recognised when they were held out.",
        f"{'Parts stored in the recipe':<30}{'correct before':>20}{'and after':>14}",
    ]
    for row in figures["old_types"]:
        before, after = (f"{row[when]['count']} of {row[when]['of']}" for when in ("before", "after"))
        rows.append(f"{row['type']:<30}{before:>20}{after:>14}")
    return "\n".join(rows)


def threshold(figures: dict[str, Any]) -> str:
    """What a person wants to know about the revision."""
    low, high = figures["earlier"]
    lines = [
        f"{figures['recipe']}: OK up to {figures['ok']:.4g} (was {low:.4g}), NG above {figures['ng']:.4g} "
        f"(was {high:.4g}). Basis:",
        *(f"  - {line}" for line in figures["promises"]),
    ]
    if figures["must_be_signed"]:
        lines.append("The recipe was signed, and this revision is not yet. Sign it with: sightline sign")
    return "\n".join(lines)


def review_plan(figures: dict[str, Any]) -> str:
    """What a person wants to know about a review plan."""
    lines = [f"OK up to {figures['ok']:.4g}, NG above {figures['ng']:.4g}"]
    if figures["cost_per_1000"] is not None:
        lines[0] += f"; looking costs {figures['cost_per_1000']:.2f} per 1,000 parts"
    lines += [f"  - {note}" for note in figures["notes"]]
    return "\n".join([*lines, *([f"Written to {figures['recipe']}"] if figures["recipe"] else [])])


def demo(step: str, value: Any) -> str:
    """A step of the demo: what begins, with the command that does the same, or what it gave."""
    if step in DEMO:
        return DEMO[step].format(**value)
    if step == "trained":
        return train(value.figures, value.card)
    if step == "inspected":
        return inspect(value)
    if step == "evaluated":
        return f"{value}\n{let_through(value)}"
    if step == "outliers":
        return (
            f"Outliers: {len(value)}. Here they are good parts, which the renderer happened to vary most; "
            "with your own photos, look at them"
        )
    return f"Report: {Path(value['report']).resolve()}\nPictures: {Path(value['overlays']).resolve()}"


def let_through(evaluation: Evaluation) -> str:
    """Which kinds of defects the demo's recipe judged OK, and why that is so."""
    missed = evaluation.escapes
    if missed is None or not missed.count:
        return "No defective part was judged OK."
    kinds = [
        f"{kind.escapes.count} of {kind.escapes.of} {kind.name}" for kind in evaluation.types if kind.escapes.count
    ]
    listed = f" ({', '.join(kinds)})" if kinds else ""
    return (
        f"Judged OK though defective: {missed.count} of {missed.of}{listed}. This recipe was trained on good parts "
        "only, so defects as faint as their normal variation pass. Labelled defects in the training part move the "
        "thresholds, and more good parts or --effort max find finer defects"
    )


def synthesize(figures: dict[str, Any]) -> str:
    """What a person wants to know about the sheet."""
    text = (
        f"{figures['sheet']}: {len(figures['generators'])} kinds of synthetic defects on {figures['images']} good parts"
    )
    if figures["left_out"]:
        return text + "\nNo training part has a defect marked with a mask, so there was nothing to cut and paste"
    return text + f"; {figures['donors']} real defects to cut and paste"


def doctor(checks: Sequence[Check]) -> str:
    """A table for people."""
    lines = []
    for check in checks:
        mark = "ok" if check.ok else "FIX" if check.needed else "--"
        lines.append(f"{mark:>4}  {check.name:<24} {check.detail}" + (f"\n      -> {check.fix}" * (not check.ok)))
    return "\n".join(lines)
