"""`sightline data`: what is wrong with a dataset, what it lacks, and which of its images say most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.command.console import progress
from sightline.command.curating_store import is_stored, open_stored, refuse_findings
from sightline.core.errors import InputError

if TYPE_CHECKING:
    from sightline.command.curating_store import Stored
    from sightline.data.curation.coverage import Coverage
    from sightline.data.curation.diverse import Picked
    from sightline.data.curation.finding import Finding
    from sightline.data.curation.keeper import Decision, Keeper
    from sightline.data.curation.signs import Embed, Signs
    from sightline.data.dataset import Dataset

NO_EMBEDDING = "none"
BATCH_SHOWN = 20  # findings of a kind in the terminal


@dataclass(frozen=True)
class Checked:
    """A checked dataset: all findings, worst first, and what was decided about them, before or now."""

    dataset: Dataset
    signs: Signs
    findings: list[Finding]
    decisions: dict[str, Decision]
    table: Path | None = None

    @property
    def open(self) -> list[Finding]:
        """Findings about which nothing is decided."""
        return [finding for finding in self.findings if finding.key not in self.decisions]

    def to_json(self) -> dict[str, Any]:
        """The check as plain JSON values."""
        from dataclasses import asdict

        return {
            "dataset": self.dataset.name,
            "images": len(self.signs),
            "unreadable": [unread.name for unread in self.signs.unread],
            "findings": [finding.to_json() for finding in self.open],
            "counts": dict(Counter(str(finding.kind) for finding in self.open)),
            "decisions": [asdict(decision) for decision in self.decisions.values()],
            "table": None if self.table is None else str(self.table),
        }


def check(
    data: Path,
    report: Path | None,
    decide: Mapping[str, Sequence[str]],
    note: str,
    places: Mapping[str, Path | None],
    looks: dict[str, Any],
    quiet: bool,
) -> Checked:
    """Check a dataset, take down decisions, write the corrected table where something is applied, and the report.

    `decide` has the keys apply, dismiss and reopen; `places` output and findings (files to write, None for beside the
    data); `looks` backbone, recipe and threads.
    """
    from sightline.data.curation.check import findings
    from sightline.data.curation.keeper import FileKeeper
    from sightline.runtime.recipe import check_writable

    if report is not None:
        check_writable(report)
    refuse_findings(data, places["findings"])
    with ExitStack() as opened:
        stored = open_stored(data, opened)
        keeper = stored.keeper if stored else FileKeeper(places["findings"] or beside(data, ".sightline-findings.json"))
        keeper.decisions()  # a damaged file is told before minutes of work
        dataset, signs = read(data, looks, quiet)
        found = findings(signs)
        changed = _decide(keeper, found, decide, note, stored)
        decisions = dict(keeper.decisions())
    table = None
    if stored and places["output"] is not None:
        table = _write_stored(data, places["output"])
    elif not stored and (changed or (places["output"] is not None and decisions)):
        table = _write_table(dataset, data, decisions, places["output"])
    checked = Checked(dataset, signs, found, decisions, table)
    if report is not None:
        from sightline.command.curation_report import write_curation_report

        write_curation_report(checked, report)
    return checked


def root_of(dataset: Dataset, data: Path) -> Path:
    """The folder from which names of images count; in the store, the one in which its images lie."""
    if is_stored(data) and len(dataset):
        return dataset.samples[0].path.parents[2]
    return data if data.is_dir() else data.parent


def beside(data: Path, ending: str) -> Path:
    """A file beside a dataset, called after it."""
    data = data.resolve()
    return data.with_name((data.stem if data.is_file() else data.name) + ending)


def read(data: Path, looks: dict[str, Any], quiet: bool) -> tuple[Dataset, Signs]:
    """A dataset with its own split, if it has one, and the signs of its images."""
    from sightline.data.curation.reading import read_signs
    from sightline.data.dataset import Dataset

    dataset = Dataset.open(data, split=False)
    embed = open_embedder(**looks)
    root = root_of(dataset, data)
    with progress(quiet) as bar:
        report = lambda done, of: bar("looking at images", done, of)  # noqa: E731 - one line, used once
        signs = read_signs(dataset.samples, embed, root=root, progress=report, threads=looks["threads"])
    return dataset, signs


def open_embedder(backbone: str, recipe: Path | None, threads: int) -> Embed | None:
    """What turns images into embeddings: a recipe's own, a frozen trunk, or nothing for the backbone "none"."""
    if recipe is not None:
        import numpy as np

        from sightline.runtime.inspector import Inspector

        judge = Inspector(recipe, threads=threads)
        return lambda images: np.stack([result.embedding for result in judge.inspect_many(images)])
    if backbone == NO_EMBEDDING:
        return None
    from sightline.train.pooled import PooledTrunk

    return PooledTrunk(backbone, threads)


def _decide(
    keeper: Keeper, found: Sequence[Finding], decide: Mapping[str, Sequence[str]], note: str, stored: Stored | None
) -> bool:
    """Take decisions down; whether the corrected table changes by them. In the store, what is applied is done first:
    what was refused there must not be remembered as done.
    """
    from sightline.data.curation.keeper import Decision, State

    known = {finding.key: finding for finding in found}
    earlier = keeper.decisions()
    _check_keys(known, earlier, decide)
    if stored:
        stored.apply([known[key].action for key in decide["apply"]])
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for key in decide["apply"]:
        keeper.keep(Decision(key, State.APPLIED, now, note, known[key].action))
    for key in decide["dismiss"]:
        keeper.keep(Decision(key, State.DISMISSED, now, note))
    for key in decide["reopen"]:
        keeper.forget(key)
    touched = {*decide["dismiss"], *decide["reopen"]}
    undone = any(earlier[key].state is State.APPLIED for key in touched if key in earlier)
    return bool(decide["apply"]) or undone


def _check_keys(
    known: Mapping[str, Finding], earlier: Mapping[str, Decision], decide: Mapping[str, Sequence[str]]
) -> None:
    from sightline.data.curation.finding import Verb

    for key in (*decide["apply"], *decide["dismiss"]):
        if key not in known:
            raise InputError(f"no finding is called '{key}'. Run the check again and copy a key from it")
    for key in decide["apply"]:
        if known[key].action.verb is Verb.NONE:
            raise InputError(f"finding '{key}' has nothing to apply: {known[key].remedy} Dismiss it when that is done")
    for key in decide["reopen"]:
        if key not in earlier:
            raise InputError(f"nothing was decided about a finding '{key}'. Check the key")


def _write_stored(data: Path, output: Path) -> Path:
    """A product of the store as it is now: what was applied was done there, and may have been changed again since."""
    from sightline.data.curation.correction import write_table
    from sightline.data.dataset import Dataset

    return write_table(Dataset.open(data, split=False).samples, output)


def _write_table(dataset: Dataset, data: Path, decisions: dict[str, Decision], output: Path | None) -> Path:
    from sightline.data.curation.correction import corrected, write_table
    from sightline.data.curation.keeper import State
    from sightline.data.curation.reading import names_of

    root = root_of(dataset, data)
    actions = [decision.action for decision in decisions.values() if decision.state is State.APPLIED]
    samples = corrected(dataset.samples, names_of(dataset.samples, root), actions)
    return write_table(samples, output or beside(data, "-corrected.csv"))


def cover(data: Path, looks: dict[str, Any], quiet: bool) -> Coverage:
    """What a dataset shows, and what to photograph next."""
    from sightline.data.curation.coverage import cover as measure

    return measure(read(data, looks, quiet)[1])


def pick(
    data: Path, count: int, output: Path, start: Path | None, looks: dict[str, Any], quiet: bool
) -> tuple[Picked, tuple[str, ...]]:
    """Choose diverse images, write them as a table, and give the choice and the names."""
    from sightline.data.curation.correction import write_table
    from sightline.data.curation.diverse import pick as choose
    from sightline.data.dataset import Dataset
    from sightline.runtime.recipe import check_writable

    check_writable(output)
    if looks["backbone"] == NO_EMBEDDING and looks["recipe"] is None:
        raise InputError("images cannot be compared without an embedding. Give a backbone or a recipe")
    signs = read(data, looks, quiet)[1]
    known = set() if start is None else {s.path.resolve() for s in Dataset.open(start, split=False).samples}
    given = [index for index, sample in enumerate(signs.samples) if sample.path.resolve() in known]
    if start is not None and not given:
        raise InputError(f"{start}: none of its images are in {data}. Give a table made by `sightline data pick`")
    picked = choose(signs.embeddings, count, given)
    write_table([signs.samples[index] for index in picked.indices], output)
    return picked, tuple(signs.names[index] for index in picked.indices)


def describe(checked: Checked) -> str:
    """The open findings for a person, worst first, and what to do with them."""
    from sightline.data.curation.finding import TITLES, Kind

    lines = [f"{checked.dataset}", f"{len(checked.open)} findings in {len(checked.signs)} readable images."]
    kinds = list(dict.fromkeys(finding.kind for finding in checked.open))
    for kind in kinds:
        rows = [finding for finding in checked.open if finding.kind is kind]
        lines += ["", f"{TITLES[Kind(kind)]}: {len(rows)}"]
        for finding in rows[:BATCH_SHOWN]:
            lines += [f"  {finding.key}  {finding.severity}  {_subjects(finding)}", f"      {finding.reason}"]
        if len(rows) > BATCH_SHOWN:
            lines.append(f"  and {len(rows) - BATCH_SHOWN} more: see --report or --json")
        lines.append(f"  What to do: {rows[0].remedy}")
    states = Counter(str(decision.state) for decision in checked.decisions.values())
    if states:
        lines += ["", "Decided: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())) + "."]
    if checked.table is not None:
        lines += ["", f"Corrected dataset: {checked.table} (images and labels of the original are as they were)"]
    elif checked.open:
        lines += ["", "Next: --apply KEY takes the suggested action, --dismiss KEY remembers that it is fine."]
    return "\n".join(lines)


def _subjects(finding: Finding) -> str:
    more = f" and {len(finding.subjects) - 3} more" if len(finding.subjects) > 3 else ""
    return ", ".join(finding.subjects[:3]) + more


def describe_coverage(coverage: Coverage) -> str:
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
    lines += [f"  {number}. {words}" for number, words in enumerate(coverage.advice, start=1)]
    return "\n".join(lines if coverage.advice else [*lines[:-1], "Nothing is thin."])


def describe_pick(picked: Picked, names: Sequence[str], output: Path) -> str:
    """The chosen images for a person."""
    return "\n".join([*names, f"{output}: {len(names)} images; no other is farther than {picked.radius:.2f} from one."])
