"""What the commands about datasets and labels tell a person."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.data.curation.coverage import Coverage
    from sightline.evaluate.metrics.agreement import Agreement
    from sightline.operations.curation_report import Checked
    from sightline.store.book import Page

MAX_BATCH = 20  # findings of a kind
MAX_LISTED = 20  # disagreements


def check(checked: Checked) -> str:
    """The open findings for a person, worst first, and what to do with them."""
    from sightline.data.curation.findings import TITLES, Kind

    lines = [
        f"{checked.dataset}",
        f"{_many(len(checked.open), 'finding')} in {_many(len(checked.samples), 'readable image')}.",
    ]
    kinds = list(dict.fromkeys(finding.kind for finding in checked.open))
    for kind in kinds:
        rows = [finding for finding in checked.open if finding.kind is kind]
        differ = len({finding.remedy for finding in rows}) > 1  # they name the class or the picture
        lines += ["", f"{TITLES[Kind(kind)]}: {len(rows)}"]
        for finding in rows[:MAX_BATCH]:
            more = f" and {len(finding.subjects) - 3} more" if len(finding.subjects) > 3 else ""
            lines += [f"  {finding.key}  {finding.severity}  {checked.told(', '.join(finding.subjects[:3]) + more)}"]
            lines += [f"      {checked.told(finding.reason)}"]
            lines += [f"      What to do: {checked.told(finding.remedy)}"] * differ
        if len(rows) > MAX_BATCH:
            lines.append(f"  and {len(rows) - MAX_BATCH} more: see --report or --json")
        lines += [f"  What to do: {checked.told(rows[0].remedy)}"] * (not differ)
    states = Counter(str(decision.state) for decision in checked.decisions.values())
    if states:
        lines += ["", "Decided: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())) + "."]
    if checked.table is not None:
        lines += ["", f"Corrected dataset: {checked.table} (original images and labels are unchanged)"]
    elif checked.open:
        lines += ["", "Next: --apply KEY takes the suggested action, --dismiss KEY records that it is fine."]
    return "\n".join(lines)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def cover(coverage: Coverage) -> str:
    """The coverage for a person: every axis as bars, then what to photograph next."""
    lines = [f"{coverage.images} images."]
    for axis, shares in coverage.axes.items():
        lines += ["", f"By {axis}:"]
        most = max(share.count for share in shares)
        width = min(40, max(len(share.name) for share in shares))
        for share in shares:
            bar = "#" * max(1, round(30 * share.count / most))
            lines.append(f"  {share.name[:40]:{width}}  {share.count:6,}  {bar}{'  thin' * share.thin}")
    lines += ["", "What to photograph next:"]
    lines += [f"  {number}. {advice}" for number, advice in enumerate(coverage.advice, start=1)]
    return "\n".join(lines if coverage.advice else [*lines[:-1], "Nothing is thin."])


def pick(figures: dict[str, Any]) -> str:
    """The chosen images for a person."""
    names = figures["images"]
    last = f"{figures['table']}: {len(names)} images; no other is farther than {figures['radius']:.2f} from one."
    return "\n".join([*names, last])


def agree(found: Agreement) -> str:
    """Agreement for people: kappa with its interval, by question and pair, then what to talk about."""
    lines = [f"{found.parts} samples were labelled by two people or more."]
    for question, kappa in found.overall.items():
        lines.append(f"{question}: kappa {_interval(kappa.to_json())} over all annotators ({kappa.of} samples)")
    for pair in found.pairs:
        lines.append(
            f"  {pair.first} and {pair.second}, {pair.question}: kappa {_interval(pair.kappa.to_json())}, "
            f"agreed {pair.agreed.count} of {pair.agreed.of}"
        )
    for one in found.disagreements[:MAX_LISTED]:
        answers = "; ".join(f"{author}: {what}" for author, what in one.answers)
        lines.append(f"sample {one.sample_id}: {answers}")
    return "\n".join(lines)


def _interval(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "not defined (all say the same)"
    bounds = "" if figure["lower"] is None else f" ({figure['lower']:.2f} to {figure['upper']:.2f})"
    return f"{figure['value']:.2f}{bounds}"


def book(page: Page) -> str:
    """A page in a few lines."""
    limits = [f"counts from {page.min_mm:g} mm"] if page.min_mm is not None else []
    limits += [f"always from {page.max_mm:g} mm"] if page.max_mm is not None else []
    head = f"{page.name}{': ' + ', '.join(limits) if limits else ''} ({page.author})"
    return f"{head}\n  {page.guideline}" if page.guideline else head
