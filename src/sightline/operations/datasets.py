"""Datasets: opened, checked for what is wrong with them, measured for what they lack, thinned out to what says most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.errors import InputError
from sightline.core.progress import Progress, Tell, of_stage
from sightline.operations.opening import Stored, is_stored, open_dataset, open_stored, refuse_findings

if TYPE_CHECKING:
    from sightline.data.curation.coverage import Coverage
    from sightline.data.curation.findings import Decision, DecisionLog, Finding
    from sightline.data.curation.image_statistics import Embed, ImageStatistics
    from sightline.data.curation.result import Result
    from sightline.data.dataset import Dataset
    from sightline.operations.curation_report import Checked

NO_EMBEDDING = "none"


@dataclass(frozen=True)
class Looks:
    """How images are looked at: compared by a backbone, or by a recipe's own embedding where one is given."""

    backbone: str = "lite0"
    recipe: Path | None = None
    threads: int = 2
    outside: bool = False


@dataclass(frozen=True)
class Decide:
    """Keys of findings to apply, dismiss and reopen; why is the `note`."""

    apply: Sequence[str] = ()
    dismiss: Sequence[str] = ()
    reopen: Sequence[str] = ()
    note: str = ""


def check(
    data: Path,
    looks: Looks,
    decide: Decide,
    report: Path | None = None,
    output: Path | None = None,
    findings: Path | None = None,
    *,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Checked:
    """Check a dataset, take down decisions, write the corrected table where something is applied, and the report.

    `output` is the corrected table, `findings` the file that remembers decisions; both lie beside the data by default.
    """
    from sightline.data.curation.check import corrected, write_table
    from sightline.data.curation.findings import FileDecisionLog, State
    from sightline.data.curation.image_statistics import names_of
    from sightline.operations.curation_report import Checked, write_curation_report
    from sightline.runtime.recipe import check_writable

    if report is not None:
        check_writable(report)
    refuse_findings(data, findings)
    with ExitStack() as opened:
        stored = open_stored(data, opened)
        decision_log = (
            stored.decision_log if stored else FileDecisionLog(findings or beside(data, ".sightline-findings.json"))
        )
        decision_log.decisions()  # a damaged file is told before minutes of work
        dataset = open_dataset(data, tell, outside=looks.outside, split=False)
        ids = names_of(dataset.samples, root_of(dataset, data))
        result = _result(decision_log, dataset, ids, data, looks, progress, tell)
        names = stored.names() if stored else {}
        changed = _decide(decision_log, result.findings, decide, stored)
        decisions = dict(decision_log.decisions())
    table = None
    if stored and output is not None:
        # What was applied was applied in the store, and may have been changed again since.
        table = write_table(open_dataset(data, None, outside=False, split=False).samples, output)
    elif not stored and (changed or (output is not None and decisions)):
        actions = [decision.action for decision in decisions.values() if decision.state is State.APPLIED]
        table = write_table(corrected(dataset.samples, ids, actions), output or beside(data, "-corrected.csv"))
    samples = dict(zip(ids, dataset.samples, strict=True))
    checked = Checked(dataset, result, {name: samples[name] for name in result.names}, decisions, table, names)
    if report is not None:
        write_curation_report(checked, report)
    return checked


def _result(
    decision_log: DecisionLog,
    dataset: Dataset,
    ids: Sequence[str],
    data: Path,
    looks: Looks,
    progress: Progress | None,
    tell: Tell | None,
) -> Result:
    """What the last check found where nothing has changed since; else what a new one finds, which is kept."""
    from sightline.data.curation.check import findings
    from sightline.data.curation.result import Result, fingerprint_of
    from sightline.imaging.image import content_hash

    recipe = None if looks.recipe is None else content_hash(looks.recipe)
    fingerprint = fingerprint_of(dataset.samples, ids, {"backbone": looks.backbone, "recipe": recipe})
    last = decision_log.last()
    cached = Result.of_json(last, fingerprint)
    if cached is not None:
        return cached
    if last is not None and tell is not None:
        tell(f"{data}: images, labels or settings have changed since the last check, so it is made again")
    statistics = look(dataset, data, looks, progress)
    result = Result(findings(statistics), statistics.names, statistics.unread)
    decision_log.keep_last(result.to_json(fingerprint))
    return result


def root_of(dataset: Dataset, data: Path) -> Path:
    """The folder from which names of images count; in the store, the one in which its images lie."""
    if is_stored(data) and len(dataset):
        return dataset.samples[0].path.parents[2]
    return data if data.is_dir() else data.parent


def beside(data: Path, ending: str) -> Path:
    """A file beside a dataset, called after it."""
    data = data.resolve()
    return data.with_name((data.stem if data.is_file() else data.name) + ending)


def read(data: Path, looks: Looks, progress: Progress | None, tell: Tell | None) -> ImageStatistics:
    """What is kept of each image of a dataset."""
    return look(open_dataset(data, tell, outside=looks.outside, split=False), data, looks, progress)


def look(dataset: Dataset, data: Path, looks: Looks, progress: Progress | None) -> ImageStatistics:
    """What is kept of each image of an open dataset."""
    from sightline.data.curation.image_statistics import read_statistics

    embed = open_embedder(looks)
    root = root_of(dataset, data)
    report = of_stage(progress, "looking at images")
    return read_statistics(dataset.samples, embed, root=root, progress=report, threads=looks.threads)


def open_embedder(looks: Looks) -> Embed | None:
    """What turns images into embeddings: a recipe's own, a frozen backbone, or nothing for the backbone "none"."""
    if looks.recipe is not None:
        import numpy as np

        from sightline.runtime.inspector import Inspector

        inspector = Inspector(looks.recipe, threads=looks.threads)
        return lambda images: np.stack([result.embedding for result in inspector.inspect_many(images)])
    if looks.backbone == NO_EMBEDDING:
        return None
    from sightline.core.errors import require_lab

    require_lab()
    from sightline.train.backbone.extractor import PooledExtractor

    return PooledExtractor(looks.backbone, looks.threads)


def _decide(
    decision_log: DecisionLog,
    found: Sequence[Finding],
    decide: Decide,
    stored: Stored | None,
) -> bool:
    """Take decisions down; whether the corrected table changes by them. In the store, what is applied is done first:
    what was refused there must not be remembered as done.
    """
    from sightline.data.curation.findings import Decision, State

    current = {finding.key: finding for finding in found}
    earlier = decision_log.decisions()
    _check_keys(current, earlier, decide)
    if stored:
        stored.apply([current[key].action for key in decide.apply])
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for key in decide.apply:
        decision_log.keep(Decision(key, State.APPLIED, now, decide.note, current[key].action))
    for key in decide.dismiss:
        decision_log.keep(Decision(key, State.DISMISSED, now, decide.note))
    for key in decide.reopen:
        decision_log.forget(key)
    touched = {*decide.dismiss, *decide.reopen}
    undone = any(earlier[key].state is State.APPLIED for key in touched if key in earlier)
    return bool(decide.apply) or undone


def _check_keys(current: Mapping[str, Finding], earlier: Mapping[str, Decision], decide: Decide) -> None:
    from sightline.data.curation.findings import Verb

    for key in (*decide.apply, *decide.dismiss):
        if key not in current:
            raise InputError(f"no finding is called '{key}'. Run the check again and copy a key from it")
    for key in decide.apply:
        if current[key].action.verb is Verb.NONE:
            raise InputError(
                f"finding '{key}' has nothing to apply: {current[key].remedy} Dismiss it when that is done"
            )
    for key in decide.reopen:
        if key not in earlier:
            raise InputError(f"nothing was decided about a finding '{key}'. Check the key")


def cover(data: Path, looks: Looks, *, progress: Progress | None = None, tell: Tell | None = None) -> Coverage:
    """What a dataset shows, and what to photograph next."""
    from sightline.data.curation.coverage import cover as measure

    return measure(read(data, looks, progress, tell))


def pick(
    data: Path,
    count: int,
    output: Path,
    looks: Looks,
    start: Path | None = None,
    *,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Choose the images that differ most and write them as a table; `start` is a table of those chosen already."""
    from sightline.data.curation.check import write_table
    from sightline.data.curation.coverage import pick as choose
    from sightline.data.dataset import Dataset
    from sightline.runtime.recipe import check_writable

    check_writable(output)
    if looks.backbone == NO_EMBEDDING and looks.recipe is None:
        raise InputError("images cannot be compared without an embedding. Give a backbone or a recipe")
    statistics = read(data, looks, progress, tell)
    current = (
        set()
        if start is None
        else {s.path.resolve() for s in Dataset.open(start, split=False, outside=looks.outside).samples}
    )
    given = [index for index, sample in enumerate(statistics.samples) if sample.path.resolve() in current]
    if start is not None and not given:
        raise InputError(f"{start}: none of its images are in {data}. Give a table made by `sightline data pick`")
    picked = choose(statistics.embeddings, count, given)
    write_table([statistics.samples[index] for index in picked.indices], output)
    names = [statistics.names[index] for index in picked.indices]
    return {"images": names, "distances": picked.distances, "radius": picked.radius, "table": str(output)}
