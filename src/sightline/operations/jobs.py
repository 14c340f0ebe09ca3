"""Kinds of lab work that a worker does for the web app: what each one needs, and the operation that it is.

What they work on lies in the store, and so does what they make; files for people go into a folder of the job's own.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sightline.core.errors import InputError, SettingError
from sightline.core.progress import Progress, Tell
from sightline.operations.archive import unpack
from sightline.store.store import Store
from sightline.train.settings import TrainSettings

if TYPE_CHECKING:
    from sightline.evaluate.inspected import Part

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w .@+-]+$", examples=["cookies"])]
Data = Annotated[str, Field(min_length=1, max_length=200, examples=["cookies@3"], description="version, or product")]
Recipe = Annotated[str, Field(pattern="^[0-9a-f]{8,64}$", description="hash of a recipe in the store")]
Setting = str | float | int | bool | list[str | float | int] | None
MAX_LISTED = 50
MAX_SHOWN = 60  # parts that changed for the worse, and for the better, that a comparison lists
HUB_NAME = re.compile(r"hf:\w[\w.-]*/\w[\w.-]*")


class Arguments(BaseModel):
    """Base of all kinds."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Train(Arguments):
    """Train a recipe on a version; of a product, a version is taken first."""

    kind: Literal["train"] = "train"
    data: Data
    name: Name
    settings: dict[str, Setting] = Field({}, max_length=60, examples=[{"effort": "quick"}])


class Search(Arguments):
    """Search for the settings whose errors cost least, and train with them."""

    kind: Literal["search"] = "search"
    data: Data
    name: Name
    trials: int = Field(20, ge=1, le=1000)
    budget_minutes: float | None = Field(None, gt=0, le=10_000)
    settings: dict[str, Setting] = Field({}, max_length=60)


class Evaluate(Arguments):
    """Measure a recipe on a version's test part."""

    kind: Literal["evaluate"] = "evaluate"
    recipe: Recipe
    data: Data


class Compare(Arguments):
    """Compare two recipes on a version's test part: who errs where, and which parts changed their verdict."""

    kind: Literal["compare"] = "compare"
    first: Recipe
    second: Recipe
    data: Data


class Teach(Arguments):
    """Teach a recipe a new defect type from a few samples."""

    kind: Literal["teach"] = "teach"
    recipe: Recipe
    type: Name
    samples: list[int] = Field(min_length=1, max_length=500, description="ids of samples that show it")
    name: Name


class Check(Arguments):
    """Check a product's samples for what is wrong with them."""

    kind: Literal["check"] = "check"
    product: Name
    backbone: str = Field("lite0", pattern="^(none|lite[0-2]|dinov2-s)$")


class Import(Arguments):
    """Add an archive that was sent before."""

    kind: Literal["import"] = "import"
    upload: str = Field(pattern="^[0-9a-f]{32}$")
    product: Name


class Explain(Arguments):
    """Explain what a recipe sees in samples."""

    kind: Literal["explain"] = "explain"
    recipe: Recipe
    samples: list[int] = Field(min_length=1, max_length=100)


class Improve(Arguments):
    """Train a challenger on what people have answered, compare it with the recipe in use; a shadow at most."""

    kind: Literal["improve"] = "improve"
    product: Name
    effort: Literal["quick", "normal", "max"] | None = None
    prices: list[str] = Field([], max_length=10, examples=[["stop=400", "retraining=50"]])
    ahead: int | None = Field(None, ge=1, description="parts in which a change has to be paid back")


class ReadStudy(Arguments):
    """Have a recipe read the parts of a study, as one of its machines."""

    kind: Literal["study"] = "study"
    study: int = Field(ge=1)
    recipe: Recipe
    machine: str | None = Field(None, max_length=64, description="its name in the study; null: the first machine")


AnyArguments = Annotated[
    Train | Search | Evaluate | Compare | Teach | Check | Import | Explain | Improve | ReadStudy,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyArguments)


@dataclass(frozen=True)
class Desk:
    """Where a job is done: the store, a folder of its own for files, uploads, and who asked for it.

    `job` is the number of its row, None where it has none.
    """

    store: Store
    folder: Path
    uploads: Path
    author: str
    progress: Progress
    tell: Tell
    job: int | None = None


def check_arguments(wanted: Any) -> None:
    """Find out what is wrong with a job before it waits for its turn. Raises SettingError."""
    if isinstance(wanted, Train | Search):
        backbone = TrainSettings.parse(dict(wanted.settings)).backbone
        if backbone.startswith("hf:") and not HUB_NAME.fullmatch(backbone):
            raise SettingError(f"backbone {backbone}: a job opens no folder of the server. Give hf:OWNER/NAME")


def do(desk: Desk, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Do a job: its result as plain JSON values, with the names of files in the job's folder as `files`.

    Raises SightlineError, and Cancelled where `desk.progress` does.
    """
    wanted = _ADAPTER.validate_python(dict(arguments))
    desk.folder.mkdir(parents=True, exist_ok=True)
    result = _WORK[wanted.kind](desk, wanted)
    return {**result, "files": sorted(path.name for path in desk.folder.iterdir() if path.is_file())}


def _train(desk: Desk, wanted: Train) -> dict[str, Any]:
    from sightline.operations.training import train

    version, file = _version(desk, wanted.data), desk.folder / f"{wanted.name}.onnx"
    settings: dict[str, object] = {"product": version.partition("@")[0], **wanted.settings}
    trained = train(_stored(version), file, settings, progress=desk.progress, tell=desk.tell)
    return {**trained.figures, **_register(desk, file, version)}


def _search(desk: Desk, wanted: Search) -> dict[str, Any]:
    from sightline.operations.training import search

    version, file = _version(desk, wanted.data), desk.folder / f"{wanted.name}.onnx"
    options: dict[str, Any] = {"trials": wanted.trials, "study": desk.folder / "study.db"}
    if wanted.budget_minutes is not None:
        options["budget"] = f"{wanted.budget_minutes:g}m"
    settings = {"product": version.partition("@")[0], **wanted.settings}
    report = desk.folder / "report.html"
    found = search(_stored(version), file, options, settings, report, progress=desk.progress, tell=desk.tell).to_json()
    told = {name: found[name] for name in ("settings", "why", "ended")}
    return {"search": {**told, "trials": len(found["trials"])}, **_register(desk, file, version)}


def _evaluate(desk: Desk, wanted: Evaluate) -> dict[str, Any]:
    from sightline.evaluate.preview import Judged
    from sightline.operations.inspection import Judging
    from sightline.operations.recipes import evaluate

    file, report = _fetch(desk, wanted.recipe), desk.folder / "report.html"
    found = evaluate(Judging(file), _stored(wanted.data), report, progress=desk.progress, tell=desk.tell)
    file.unlink()
    judged = Judged.of(found, desk.store.parts.numbers(wanted.data))
    recipe, figures = desk.store.recipes.find(wanted.recipe).hash, found.to_json()
    registered = desk.store.evaluations.add(recipe, wanted.data, figures, judged.to_json(), desk.author, desk.job)
    return {"evaluation": figures, "number": registered.id}


def _compare(desk: Desk, wanted: Compare) -> dict[str, Any]:
    from sightline.operations.recipes import compare

    recipes = [desk.store.recipes.find(one).hash for one in (wanted.first, wanted.second)]
    if recipes[0] == recipes[1]:
        raise InputError(f"both are the same recipe, {recipes[0][:12]}. Name another one to compare it with")
    files, report = [_fetch(desk, one) for one in recipes], desk.folder / "report.html"
    found = compare(files[0], files[1], _stored(wanted.data), report, progress=desk.progress, tell=desk.tell)
    for file in files:
        file.unlink()
    numbers, figures = desk.store.parts.numbers(wanted.data), found.to_json()
    changed = [
        {
            **{name: told[name] for name in ("defective", "types", "better")},
            **{"image_hash": one.path.stem, "sample_id": numbers.get(one.path.stem)},
            **{which: _judged(getattr(one, which)) for which in ("first", "second")},
        }
        for one, told in zip(found.changed, figures["changed"], strict=True)
    ]
    worse, better = ([one for one in changed if one["better"] is better] for better in (False, True))
    told = {"changed": [*worse[:MAX_SHOWN], *better[:MAX_SHOWN]], "worse": len(worse), "better": len(better)}
    return {"comparison": {**figures, **told, "first": recipes[0], "second": recipes[1]}}


def _judged(part: Part) -> dict[str, Any]:
    """What a recipe said of a part, None for the score of one that it could not read."""
    told = part.to_json()
    return {
        "verdict": str(part.verdict),
        "score": told.get("score"),
        "reason": told.get("reason") or told.get("message"),
    }


def _teach(desk: Desk, wanted: Teach) -> dict[str, Any]:
    from sightline.operations.training import teach

    before, file = _fetch(desk, wanted.recipe), desk.folder / f"{wanted.name}.onnx"
    taught = teach(before, wanted.type, _paths(desk, wanted.samples), file)
    before.unlink()
    return {**taught, **_register(desk, file, None, parent=desk.store.recipes.find(wanted.recipe).hash)}


def _check(desk: Desk, wanted: Check) -> dict[str, Any]:
    from sightline.operations.datasets import Decide, Looks, check

    looks, report = Looks(backbone=wanted.backbone), desk.folder / "report.html"
    found = check(_stored(wanted.product), looks, Decide(), report, progress=desk.progress, tell=desk.tell)
    kinds = [str(finding.kind) for finding in found.open]
    return {"open": {kind: kinds.count(kind) for kind in sorted(set(kinds))}}


def _import(desk: Desk, wanted: Import) -> dict[str, Any]:
    from sightline.operations.store import add_samples

    archive, unpacked = desk.uploads / f"{wanted.upload}.zip", desk.folder / "unpacked"
    if not archive.is_file():
        raise InputError("the archive sent is gone. Send it again")
    try:
        unpack(archive, unpacked, progress=desk.progress)
        inner = [path for path in unpacked.iterdir() if path.name != "__MACOSX"]
        data = inner[0] if len(inner) == 1 and inner[0].is_dir() and _is_wrapper(inner[0]) else unpacked
        added = add_samples(
            desk.store, data, wanted.product, author=desk.author, progress=desk.progress, tell=desk.tell
        )
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    archive.unlink(missing_ok=True)
    return {**added, "errors": added["errors"][:MAX_LISTED]}


def _explain(desk: Desk, wanted: Explain) -> dict[str, Any]:
    from sightline.operations.inspection import explain

    recipe, pictures = _fetch(desk, wanted.recipe), desk.folder
    found = []
    for number, told in zip(wanted.samples, explain(recipe, _paths(desk, wanted.samples), pictures), strict=True):
        found.append({**told, "sample_id": number, "picture": Path(told.get("picture", "")).name})
        desk.progress("explaining", len(found), len(wanted.samples))
    recipe.unlink()
    return {"explanations": found}


def _improve(desk: Desk, wanted: Improve) -> dict[str, Any]:
    from sightline.operations.improving import improve_in

    file = desk.folder / f"{wanted.product}.onnx"
    how: dict[str, Any] = {"prices": wanted.prices, "ahead": wanted.ahead}
    done = improve_in(desk.store, wanted.product, file, desk.author, wanted.effort, desk.progress, **how)
    file.unlink()  # the store has it
    return {"recipe": done.challenger, "product": wanted.product, "version": done.version, "improved": done.to_json()}


def _read_study(desk: Desk, wanted: ReadStudy) -> dict[str, Any]:
    from sightline.operations.studies import run

    done = run(desk.store, wanted.study, wanted.recipe, wanted.machine, progress=desk.progress)
    return {"study": wanted.study, "done": done.done}


_WORK: dict[str, Callable[[Desk, Any], dict[str, Any]]] = {
    **{"train": _train, "search": _search, "evaluate": _evaluate, "compare": _compare},
    **{"teach": _teach, "check": _check, "import": _import, "explain": _explain},
    **{"improve": _improve, "study": _read_study},
}


def _is_wrapper(folder: Path) -> bool:
    """Whether a folder is there only since the archive was packed from outside: it holds folders or tables itself."""
    return any(path.is_dir() or path.suffix in {".csv", ".json", ".xml", ".yaml"} for path in folder.iterdir())


def _stored(name: str) -> Path:
    return Path(f"store:{name}")


def _version(desk: Desk, data: str) -> str:
    """The version that a name means; of a product as it is now, one is taken."""
    if data in desk.store.catalogue.products():
        return desk.store.versions.snapshot(data, desk.author, "taken to learn from").name
    return desk.store.versions.find(data).name


def _fetch(desk: Desk, recipe: str) -> Path:
    file = desk.folder / f"{recipe[:12]}.onnx"
    file.write_bytes(desk.store.recipes.file(recipe))
    return file


def _paths(desk: Desk, samples: list[int]) -> list[Path]:
    return [desk.store.images.path(desk.store.catalogue.get(number).hash) for number in samples]


def _register(desk: Desk, file: Path, version: str | None, parent: str | None = None) -> dict[str, Any]:
    from sightline.operations.store import register_recipe

    found = register_recipe(desk.store, file, version, desk.author, parent)
    file.unlink()  # the store has it
    return {"recipe": found.hash, "product": found.product, "version": found.version}
