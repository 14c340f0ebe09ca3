"""A comparison of two recipes as one HTML file, and as text for a terminal."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sightline.core.errors import require
from sightline.evaluate.comparison import Changed, Comparison
from sightline.evaluate.inspected import Failure, Part
from sightline.evaluate.report.gallery import data_uri, short_name, thumbnail
from sightline.evaluate.report.report import save_page, templates
from sightline.evaluate.report.text import figure
from sightline.runtime.drawing import legend, scale_of, with_heat

MAX_SHOTS, SHOT_PX = 60, 220
WIDTH = 78


def write_comparison(comparison: Comparison, path: str | Path) -> Path:
    """Write the comparison as one self-contained HTML file and return its path. Raises as `write_report`."""
    context = {
        "comparison": comparison,
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "tests": _tests(comparison),
        "groups": _groups(comparison),
        "scales": [scale_of(card) for card in comparison.cards],
        "gradient": require("markupsafe", "jinja2").Markup(legend()),
    }
    page: str = templates().get_template("compare.html").render(context)
    return save_page(Path(path), page)


def text(comparison: Comparison) -> str:
    """The comparison for a terminal."""
    head = f"{comparison.good:,} good and {comparison.defective:,} defective parts that neither recipe was made from"
    rows = [f"{'':<22}{'both right':>12}{'first alone':>13}{'second alone':>14}{'neither':>9}{'p':>8}"]
    for name, test in _tests(comparison):
        cells = f"{test.both:>12,}{test.only_first:>13,}{test.only_second:>14,}{test.neither:>9,}"
        rows.append(f"{name:<22}{cells}{test.p_value:>8.3f}")
    auroc = comparison.auroc
    rows.append(f"{'AUROC':<22}first {figure(auroc.first)}, second {figure(auroc.second)}")
    rows.append(f"{'In review':<22}first {comparison.reviews[0]:,}, second {comparison.reviews[1]:,}")
    better = sum(change.better for change in comparison.changed)
    rows.append(
        f"{len(comparison.changed):,} parts changed verdict: {better:,} for the better, "
        f"{len(comparison.changed) - better:,} for the worse"
    )
    conclusions = (
        line
        for sentence in comparison.conclusions
        for line in textwrap.wrap(sentence, WIDTH, initial_indent="- ", subsequent_indent="  ")
    )
    names = [f"First: {comparison.names[0]}", f"Second: {comparison.names[1]}"]
    return "\n".join([*names, head, *rows, *conclusions])


def _tests(comparison: Comparison) -> list[tuple[str, Any]]:
    return [
        ("All parts", comparison.errors),
        ("Defective: escapes", comparison.escapes),
        ("Good: overkills", comparison.overkills),
    ]


def _groups(comparison: Comparison) -> list[dict[str, Any]]:
    """Changes for the worse, then for the better, with pictures."""
    found = []
    for better, title in ((False, "Changed for the worse"), (True, "Changed for the better")):
        changes = [change for change in comparison.changed if change.better == better]
        shots = [_shot(change, comparison) for change in changes[:MAX_SHOTS]]
        found.append({"title": title, "count": len(changes), "shots": shots})
    return found


def _shot(change: Changed, comparison: Comparison) -> dict[str, Any]:
    image = thumbnail(change.path, SHOT_PX)
    return {
        "name": short_name(change.path),
        "path": str(change.path),
        "plain": "" if image is None else data_uri(image),
        "heats": [_heat(image, part, comparison, n) for n, part in enumerate((change.first, change.second))],
        "verdicts": (str(change.first.verdict), str(change.second.verdict)),
        "truth": " · ".join(["defective" if change.defective else "good", *change.types]),
    }  # fmt: skip


def _heat(image: Any, part: Part, comparison: Comparison, which: int) -> str:
    if image is None or isinstance(part, Failure):
        return ""
    return data_uri(with_heat(image, part.heat, scale_of(comparison.cards[which])))
