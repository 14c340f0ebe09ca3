"""Studies: designed, read by people and machines, closed, signed, and written for auditors."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sightline
from sightline.core.errors import ConflictError, InputError
from sightline.core.figures import Figures
from sightline.core.progress import Progress, unwatched
from sightline.core.result import Result, Verdict
from sightline.core.sample import Sample
from sightline.improve.studies.acceptance import DoubleSampling, double_sampling, parts_needed, rule_of_three
from sightline.improve.studies.analysis import analyse
from sightline.operations import signing
from sightline.operations.learning import stored_recipe
from sightline.operations.opening import author as who
from sightline.operations.opening import opened_store
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.store.records import Meaning, Signature
from sightline.store.store import Store, StoreLocation
from sightline.store.studies import NG, OK, Reading, Study, StudyPart, Turn

TABLE = ("label", "reference", "type", "size", "image")
IMAGES = ";"  # between the presentations of one part in a table
Where = Store | StoreLocation


@dataclass(frozen=True, slots=True)
class Progressed:
    """A study, its parts, and how many readings there are of each appraiser, of how many."""

    study: Study
    done: dict[str, int]
    of: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        told = asdict(self.study)
        for moment in ("created", "closed"):
            told[moment] = told[moment] and told[moment].isoformat()
        return {**told, "done": self.done, "readings_each": self.of}


@dataclass(frozen=True, slots=True)
class Planned(Figures):
    """What a claim needs: parts by the number of events among them, and a plan with two samples where asked for.

    `three` is what no event among the first of these numbers of parts bounds the rate by, by the rule of three.
    """

    limit: float
    confidence: float
    parts: dict[int, int]
    three: float
    double: DoubleSampling | None
    expected: float | None


def plan(limit: float, good: float | None = None, confidence: float = 0.95) -> Planned:
    """How many parts prove a rate of at most `limit`, with 0, 1, 2, 3 or 5 events among them; with `good`, the usual
    rate of good lots, a double sampling plan that accepts it in nine of ten cases, and the parts it needs in the mean.

    Raises InputError for rates outside (0, 1) or too near to each other.
    """
    parts = {count: parts_needed(limit, count, confidence) for count in (0, 1, 2, 3, 5)}
    double = None if good is None else double_sampling(good, limit, confidence)
    expected = None if double is None or good is None else double.expected_parts(good)
    return Planned(limit, confidence, parts, rule_of_three(parts[0]), double, expected)


def design(
    where: Where, study: Study, source: Path | str, count: int | None = None, author: str = "",
    progress: Progress = unwatched,
) -> Progressed:  # fmt: skip
    """Design a study of parts from `source`: a folder of pictures, store:PRODUCT, or a CSV table of parts with the
    columns label, reference, type, size, image (several presentations with ; between).

    `count` parts are drawn at random, by the study's seed: half of them defective where there are so many. Raises
    InputError for a source without parts, or people who are no users of the store.
    """
    with opened_store(where) as store:
        known = {user.name for user in store.users.page(limit=10_000)}
        if missing := [one.name for one in study.appraisers if one.kind == "person" and one.name not in known]:
            raise InputError(f"{', '.join(missing)}: no user of this store. Add them first, or name them as machines")
        if not str(source).startswith("store:") and str(source).lower().endswith(".csv"):
            parts = _table(store, Path(source), progress)
        else:
            parts = _drawn(store, str(source), count, study.seed, progress)
        kept = store.studies.add(study, parts, author or who())
        return _progressed(store, kept)


def show(where: Where, id: int) -> Progressed:
    """A study and how far it is. Raises NotFoundError."""
    with opened_store(where) as store:
        return _progressed(store, store.studies.get(id))


def record(
    where: Where, id: int, appraiser: str, reading: Reading | None, protocol: Path | None = None, author: str = ""
) -> Turn | None:
    """Keep one reading of the part whose turn it is, or all of a protocol: a CSV table with trial, part, answer, value,
    day. Returns the turn that comes next, None at the end; without a reading nothing is kept.

    Raises InputError, ConflictError for what was read already or a closed study.
    """
    with opened_store(where) as store:
        if protocol is not None:
            store.studies.read_all(id, appraiser, _protocol(protocol), author or who())
        elif reading is not None:
            store.studies.read(id, appraiser, reading, author or who())
        return store.studies.turn(id, appraiser)


def run(
    where: Where, id: int, recipe: str, appraiser: str | None = None, threads: int = 2, progress: Progress = unwatched
) -> Progressed:
    """Have a recipe (a file, or a hash in the store) read what a machine of the study has still to read, in its order.

    REVIEW is kept as NG: a part that a person has to look at does not pass by itself. Raises InputError where the study
    has no machine, or parts without pictures; a picture that cannot be inspected is NG.
    """
    with opened_store(where) as store:
        study = store.studies.get(id)
        machines = [one.name for one in study.appraisers if one.kind == "machine"]
        name = appraiser or (machines[0] if machines else "")
        if name not in machines:
            raise InputError(f"study {id} has no machine {name}. It has: {', '.join(machines) or 'none'}")
        inspector = Inspector(_recipe(store, recipe), threads)
        of = study.trials * len(store.studies.parts(id))
        done = store.studies.done(id)[name]
        while (turn := store.studies.turn(id, name)) is not None:
            reading = _inspected(store, inspector, turn, recipe)
            store.studies.read(id, name, reading, f"recipe {recipe}", trial=turn.trial, place=turn.place)
            done += 1
            progress("inspecting", done, of)
        return _progressed(store, study)


def close(where: Where, id: int, author: str = "", note: str = "") -> dict[str, Any]:
    """Close a study with what there is, and make its record: everything that was read, and what it says.

    `note` says why trials are missing. Raises InputError where too little was read: nothing is closed then.
    """
    with opened_store(where) as store:
        analyse(store.studies.content(id))
        closed = store.studies.close(id, author or who(), note)
        if closed.record_id is None:
            content = store.studies.content(id)
            kept = {**content, "note": note, "software": sightline.__version__, "result": analyse(content).to_json()}
            store.studies.conclude(id, kept, author or who())
        return result(store, id)


def result(where: Where, id: int) -> dict[str, Any]:
    """What a closed study says, its record and signatures. Raises ConflictError while it is open: whoever still reads
    must not see it.
    """
    with opened_store(where) as store:
        number = _record(store, id)
        told = signing.to_json(store.records.get(number), store.records.signatures(number))
        content = told.pop("content")
        tampered = store.studies.tampered(id) or store.records.verify().broken
        return {"study": id, **told, "result": content["result"], "note": content["note"], "tampered": tampered}


def sign(where: Where, id: int, name: str, password: str, meaning: Meaning, comment: str = "") -> Signature:
    """Sign a closed study's record with the password. Raises as `signing.sign`."""
    with opened_store(where) as store:
        return signing.sign(store, _record(store, id), name, password, meaning, comment)


def export(where: Where, id: int, output: Path) -> Path:
    """Write a closed study's report: .pdf, .html or .json (the whole record). Raises InputError, ConflictError."""
    with opened_store(where) as store:
        return signing.export(store, _record(store, id), output)


def verify(where: Where) -> str:
    """What was tampered with in any record, signature, study or the audit; empty where all are whole."""
    with opened_store(where) as store:
        return signing.tampered(store)


def _record(store: Store, id: int) -> int:
    study = store.studies.get(id)
    if study.record_id is None:
        raise ConflictError(f"study {id} is {study.state} and has no result yet. Close it with: sightline study close")
    return study.record_id


def _progressed(store: Store, study: Study) -> Progressed:
    return Progressed(study, store.studies.done(study.id), study.trials * len(store.studies.parts(study.id)))


def _drawn(store: Store, source: str, count: int | None, seed: int, progress: Progress) -> list[StudyPart]:
    """Parts drawn from labelled pictures; those that nobody has labelled only where no other are there."""
    from sightline.data.dataset import Dataset

    if source.startswith("store:"):
        found = list(store.samples(source.removeprefix("store:")))
    else:
        found = list(Dataset.open(source, split=False).samples)
    labelled = [one for one in found if one.defective is not None] or found
    if not labelled:
        raise InputError(f"{source}: has no pictures. Name a folder, store:PRODUCT, or a table of parts")
    bad = [one for one in labelled if one.defective]
    good = [one for one in labelled if not one.defective]
    wanted = len(labelled) if count is None else min(count, len(labelled))
    chance = random.Random(seed)
    defective = min(len(bad), max(wanted // 2, wanted - len(good)))
    chosen = chance.sample(bad, defective) + chance.sample(good, wanted - defective)
    chance.shuffle(chosen)
    parts = []
    for number, one in enumerate(chosen, start=1):
        hash = store.images.put(one.path, str(one.path)).hash
        parts.append(StudyPart(number, one.name or one.path.name, _reference(one), *_type(one), images=(hash,)))
        progress("keeping pictures", number, len(chosen))
    return parts


def _reference(sample: Sample) -> str | None:
    return None if sample.defective is None else NG if sample.defective else OK


def _type(sample: Sample) -> tuple[str, float | None]:
    return (sample.types[0] if sample.types else ""), (None if sample.grade is None else float(sample.grade))


def _table(store: Store, path: Path, progress: Progress) -> list[StudyPart]:
    rows = _rows(path)
    parts = []
    for number, row in enumerate(rows, start=1):
        if unknown := sorted(set(row) - set(TABLE)):
            raise InputError(f"{path}: the column {unknown[0]} is not known. Use: {', '.join(TABLE)}")
        images = [path.parent / one.strip() for one in row.get("image", "").split(IMAGES) if one.strip()]
        hashes = tuple(store.images.put(one, str(one)).hash for one in images)
        size = _number(path, number, row.get("size", ""))
        label = row.get("label", "") or f"part {number}"
        parts.append(StudyPart(number, label, row.get("reference", "") or None, row.get("type", ""), size, hashes))
        progress("keeping pictures", number, len(rows))
    return parts


def _protocol(path: Path) -> list[tuple[int, int, Reading]]:
    readings = []
    for number, row in enumerate(_rows(path), start=1):
        try:
            trial, part = int(row.get("trial") or 1), int(row["part"])
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}, row {number}: trial and part are whole numbers. Correct them") from error
        details = {"day": row["day"]} if row.get("day") else {}
        value = _number(path, number, row.get("value", ""))
        readings.append((trial, part, Reading((row.get("answer") or "").upper() or None, value, details)))
    return readings


def _rows(path: Path) -> Sequence[Mapping[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [{str(key): value or "" for key, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is no table that can be read ({error}). Save it as CSV in UTF-8") from error


def _number(path: Path, row: int, text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError as error:
        raise InputError(f"{path}, row {row}: '{text}' is no number. Write it with a point") from error


def _recipe(store: Store, recipe: str) -> Recipe:
    if Path(recipe).suffix.lower() == ".onnx":
        return Recipe.load(Path(recipe))
    return stored_recipe(store, store.recipes.find(recipe).hash)


def _inspected(store: Store, inspector: Inspector, turn: Turn, recipe: str) -> Reading:
    images = turn.part.images
    if not images:
        raise InputError(f"{turn.part.label}: has no picture, so no recipe can read it. Record the readings instead")
    details: dict[str, Any] = {"recipe": recipe}
    try:
        found: Result = inspector.inspect(store.images.path(images[(turn.trial - 1) % len(images)]))
    except InputError as error:
        return Reading(NG, None, {**details, "verdict": str(Verdict.NG), "error": str(error)})
    details["verdict"] = str(found.verdict)
    if found.defects:
        x, y, wide, high = found.defects[0].box
        details["place"] = [x + wide / 2, y + high / 2]
    return Reading(
        OK if found.verdict is Verdict.OK else NG, float(found.score) if math.isfinite(found.score) else None, details
    )
