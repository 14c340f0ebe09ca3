"""Qualification of the machine at hand: what is installed, whether it does what it should, and how well it judges."""

from __future__ import annotations

import hashlib
import platform
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

import sightline
from sightline.core.errors import ForbiddenError, InputError, SightlineError, StoreError
from sightline.core.progress import Progress, unwatched
from sightline.core.result import Verdict
from sightline.core.sample import Sample
from sightline.data.dataset import Dataset
from sightline.improve.qualification import QualificationCheck, Stage, answer
from sightline.improve.studies.acceptance import claim
from sightline.operations import people, signing
from sightline.operations.doctor import doctor
from sightline.operations.opening import author as who
from sightline.operations.opening import opened_store
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.store.database import NEWEST
from sightline.store.store import Store, StoreLocation

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "pydantic", "sqlalchemy", "cryptography", "argon2-cffi")
SECRET = "a sentence for this check"  # noqa: S105 - of a store that is thrown away
TRUNCATED = 0.6  # of a picture's bytes


def qualify(
    where: StoreLocation, recipe: Path, data: Path, escape: float = 0.05, overkill: float = 0.05,
    deadline_ms: float = 1000.0, author: str = "", threads: int = 2, progress: Progress = unwatched,
) -> dict[str, Any]:  # fmt: skip
    """Run IQ, OQ and PQ for a recipe with known parts (their test part where they have one), and keep the record.

    PQ is passed where escape and overkill are reached at 95 % by exact bounds, and 95 % of the inspections are within
    `deadline_ms`. Raises InputError where the parts have no good or no defective one, StoreError without a store.
    """
    loaded = Recipe.load(recipe)
    samples = [one for one in Dataset.open(data).test if one.defective is not None]
    if not any(one.defective for one in samples) or all(one.defective for one in samples):
        raise InputError(f"{data}: a qualification needs good and defective parts in the test part. Add them")
    inspector = Inspector(loaded, threads)
    inspector.warm_up()
    with opened_store(where) as store:
        checks = [*_installed(store, loaded), *_operates(store, inspector, samples)]
        checks += _performs(inspector, samples, {"escape": escape, "overkill": overkill}, deadline_ms, progress)
        content = {
            "checks": [one.to_json() for one in checks], "answer": answer(checks),
            "machine": _about(store, loaded, data),
        }  # fmt: skip
        subject = f"machine {platform.node()}"
        title = f"Qualification of {platform.node()} for {loaded.card.product}"
        kept = store.records.add("qualification", subject, title, content, author or who())
        return signing.to_json(kept, ())


def _about(store: Store, recipe: Recipe, data: Path) -> dict[str, str]:
    return {
        "Machine": platform.node(), "System": platform.platform(), "Python": platform.python_version(),
        "Sightline": sightline.__version__, "Recipe": f"{recipe.card.product}, SHA-256 {recipe.hash}",
        "Parts": str(data), "Store": store.database.name,
    }  # fmt: skip


def _installed(store: Store, recipe: Recipe) -> Iterator[QualificationCheck]:
    for name in PACKAGES:
        try:
            yield _check("IQ", f"package {name}", "installed", version(name), True)
        except PackageNotFoundError:
            yield _check("IQ", f"package {name}", "installed", "not installed", False)
    yield _check("IQ", "program files", "hash noted, to be compared", f"SHA-256 {_program_hash()}", True)
    yield _check("IQ", "recipe file", "hash noted, to be compared", f"SHA-256 {recipe.hash}", True)
    yield _check("IQ", "schema of the store", NEWEST, *_same(NEWEST, _revision(store)))
    if (file := store.database.file) is not None:
        mode = stat.S_IMODE(file.stat().st_mode)
        yield _check("IQ", "permissions of the store", "its owner alone", f"{mode:o}", mode & 0o077 == 0)
    for one in doctor():
        if one.needed:
            yield _check("IQ", one.name, "ready", one.detail, one.ok)


def _operates(store: Store, inspector: Inspector, samples: Sequence[Sample]) -> Iterator[QualificationCheck]:
    first = samples[0].path
    twice = [inspector.inspect(first).score for _ in range(2)]
    yield _check("OQ", "same picture, same score", "equal", f"{twice[0]:.6g}, {twice[1]:.6g}", twice[0] == twice[1])
    black = inspector.inspect(np.zeros((480, 640, 3), np.uint8)).verdict
    yield _check("OQ", "a black picture", "not OK", str(black), black is not Verdict.OK)
    whole = first.read_bytes()
    broken = whole[: int(TRUNCATED * len(whole))]
    yield _refused("a damaged picture", InputError, lambda: inspector.inspect(broken))
    known = [str(inspector.inspect(one.path).verdict) for one in samples if one.defective][:5]
    yield _check("OQ", "known defective parts", "at least one is not OK", ", ".join(known), set(known) != {"OK"})
    wrong = store.audit.verify().broken or store.records.verify().broken
    yield _check("OQ", "audit and signatures of this store", "whole", wrong or "whole", not wrong)
    with tempfile.TemporaryDirectory(prefix="sightline-") as desk:
        yield from _guards(Path(desk))


def _guards(desk: Path) -> Iterator[QualificationCheck]:
    """Access, signatures and backup, tried on a store that is thrown away."""
    with Store.open(desk / "trial.db") as store:
        people.set_up(store, "ann", SECRET)
        people.add_user(store, "bob", "operator", SECRET, "ann")
        record = store.records.add("qualification", "trial", "trial", {}, "ann")
        yield _refused("a wrong password", ForbiddenError, lambda: people.log_in(store, "bob", "wrong"))
        approve: Callable[[], object] = lambda: signing.sign(store, record.id, "bob", SECRET, "approved")  # noqa: E731
        yield _refused("a signature beyond the role", ForbiddenError, approve)
        signing.sign(store, record.id, "ann", SECRET, "approved")

        def change() -> None:
            with store.writing() as session:
                session.execute(text("UPDATE signatures SET author = 'bob'"))

        yield _refused("changing a signature", StoreError, change)
        with store.writing() as session:
            session.execute(text("DROP TRIGGER guard_signatures_UPDATE"))
        change()
        found = store.records.verify().broken
        yield _check("OQ", "a signature changed by force", "noticed", found or "not noticed", bool(found))
        store.backup(desk / "backup")
    Store.restore(desk / "backup", desk / "restored.db")
    with Store.open(desk / "restored.db", create=False) as restored:
        users = restored.users.count()
    yield _check("OQ", "backup and restore", "2 users", f"{users} users", users == 2)


def _performs(
    inspector: Inspector, samples: Sequence[Sample], limits: dict[str, float], deadline_ms: float, progress: Progress
) -> list[QualificationCheck]:
    escapes = rejected = flips = 0
    times: list[float] = []
    bad = sum(bool(one.defective) for one in samples)
    for done, one in enumerate(samples, start=1):
        begun = time.perf_counter()
        verdict = _verdict(inspector, one)
        times.append(1e3 * (time.perf_counter() - begun))
        flips += _verdict(inspector, one) is not verdict
        escapes += bool(one.defective and verdict is Verdict.OK)
        rejected += bool(not one.defective and verdict is Verdict.NG)
        progress("inspecting", done, len(samples))
    found = []
    for name, count, of in (("escape", escapes, bad), ("overkill", rejected, len(samples) - bad)):
        seen = claim(name, limits[name], count, of)
        more = f"; about {seen.more} more parts decide" if seen.more else ""
        told = f"{count} of {of}, at most {100 * seen.rate.upper:.1f} % at 95 %{more}"
        found.append(_check("PQ", name, f"at most {100 * limits[name]:g} %", told, seen.answer == "reached"))
    slow = float(np.quantile(times, 0.95))
    told = f"{slow:.0f} ms over {len(times)} parts, worst {max(times):.0f} ms"
    found.append(_check("PQ", "95 % of the inspections", f"within {deadline_ms:g} ms", told, slow <= deadline_ms))
    found.append(_check("PQ", "verdicts that change when repeated", "none", str(flips), flips == 0))
    return found


def _verdict(inspector: Inspector, sample: Sample) -> Verdict:
    """A picture that cannot be inspected is NG."""
    try:
        return inspector.inspect(sample.path).verdict
    except InputError:
        return Verdict.NG


def _refused(name: str, kind: type[SightlineError], action: Callable[[], object]) -> QualificationCheck:
    try:
        action()
    except kind as error:
        return _check("OQ", name, "refused", f"refused: {str(error)[:80]}", True)
    return _check("OQ", name, "refused", "was not refused", False)


def _check(stage: Stage, name: str, expected: str, found: str, passed: bool) -> QualificationCheck:
    return QualificationCheck(stage, name, expected, found, passed)


def _same(expected: str, found: str) -> tuple[str, bool]:
    return found, expected == found


def _revision(store: Store) -> str:
    with store.reading() as session:
        return str(session.execute(text("SELECT version_num FROM alembic_version")).scalar())


def _program_hash() -> str:
    """SHA-256 over all of the program's own files, by name."""
    root = Path(sightline.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            data = path.read_bytes()
            digest.update(f"{path.relative_to(root).as_posix()} {len(data)} ".encode() + data)
    return digest.hexdigest()
