"""Recipes: measured, compared, given other thresholds, signed and verified."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.errors import InputError, RecipeError, require_lab
from sightline.core.progress import Progress, Tell, of_stage
from sightline.evaluate.prices import Prices
from sightline.operations.exporting import verify_folder
from sightline.operations.inspection import Judging
from sightline.operations.opening import open_dataset
from sightline.runtime.recipe import Recipe, check_writable, read_recipe, write_atomically
from sightline.runtime.signature import Release, make_keys, unsigned
from sightline.runtime.signature import sign as sign_data
from sightline.runtime.signature import verify as verify_data

if TYPE_CHECKING:
    from sightline.evaluate.comparison import Comparison
    from sightline.evaluate.evaluation import Evaluation
    from sightline.evaluate.review_plan import ReviewPlan, Workload
    from sightline.store.recipes import StoredRecipe
    from sightline.store.store import Store

EXPLAINED = 12  # defective images on which a report measures how faithful the heat is


def evaluate(
    judging: Judging,
    data: Path,
    report: Path | None = None,
    include_trained: bool = False,
    outside: bool = False,
    *,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Evaluation:
    """Evaluate on the given test part; without a given split, on every image that was not trained on."""
    from sightline.evaluate.evaluating import evaluate as measure
    from sightline.evaluate.report.report import write_report

    inspector = judging.open(tell)
    require_lab("sklearn", *(() if report is None else ("matplotlib", "jinja2")))
    dataset = open_dataset(data, tell, outside=outside, split=False)
    trained = frozenset(inspector.card.trained_on)
    references = [sample for sample in dataset if sample.defective is False] if trained else []
    chosen = dataset.test if dataset.given_split and not include_trained else dataset
    evaluation = measure(
        inspector,
        chosen,
        include_trained=include_trained,
        references=references,
        explained=EXPLAINED if report is not None else 0,
        progress=of_stage(progress, "inspecting"),
    )
    if report is not None:
        write_report(evaluation, report)
    return evaluation


def compare(
    first: Path,
    second: Path,
    data: Path,
    report: Path | None = None,
    include_trained: bool = False,
    threads: int = 2,
    outside: bool = False,
    *,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Comparison:
    """Compare on the given test part; without a given split, on every part that neither was made from."""
    from sightline.evaluate.comparison import compare as measure
    from sightline.evaluate.report.comparison import write_comparison

    dataset = open_dataset(data, tell, outside=outside, split=False)
    chosen = dataset.test if dataset.given_split and not include_trained else dataset
    report_to = of_stage(progress, "inspecting")
    found = measure(first, second, chosen, include_trained=include_trained, threads=threads, progress=report_to)
    if report is not None:
        write_comparison(found, report)
    return found


def threshold(
    recipe: Path, output: Path | None, ok: float | None, ng: float | None, reason: str, by: str
) -> dict[str, Any]:
    """Write the revision beside the recipe, or to `output`: what it holds now, as plain JSON values.

    A threshold that is not given stays. The recipe itself is never overwritten. Raises InputError, SettingError,
    RecipeError.
    """
    from sightline.evaluate.thresholds import set_thresholds

    if ok is None and ng is None:
        raise InputError("no threshold was given. Give --ok, --ng or both, as scores that sightline inspect prints")
    before = Recipe.load(recipe)
    path = output or _next_name(recipe)
    if path.resolve() == recipe.resolve() or (output is None and path.exists()):
        raise InputError(f"{path}: is there already, and a revision is a new file. Name another one with -o")
    check_writable(path)
    band = before.card.band
    after = set_thresholds(before, band.low if ok is None else ok, band.high if ng is None else ng, reason, by=by)
    after.save(path)
    return {
        "recipe": str(path),
        "parent": before.hash,
        "ok": after.card.band.low,
        "ng": after.card.band.high,
        "earlier": [band.low, band.high],
        "promises": list(after.card.calibration.promises),
        "must_be_signed": len(unsigned(before.data)) != len(before.data),
    }


def _next_name(recipe: Path) -> Path:
    """cookies.onnx -> cookies-2.onnx, the first number that is free."""
    number = 2
    while (path := recipe.with_name(f"{recipe.stem}-{number}{recipe.suffix}")).exists():
        number += 1
    return path


def review_plan(
    recipe: Path, load: Workload, price: float | None = None, output: Path | None = None, by: str = "a person"
) -> dict[str, Any]:
    """Thresholds and a random share of OK parts for what people can look at; into a revision where `output` is given.

    Raises InputError, SettingError, RecipeError.
    """
    plan = plan_of(Recipe.load(recipe), load, price)
    reason = f"people can look at {load.parts:g} parts a shift"
    saved = None if output is None else threshold(recipe, output, plan.ok, plan.ng, reason, by)["recipe"]
    return {**plan.to_json(), "recipe": saved}


def plan_of(recipe: Recipe, load: Workload, price: float | None = None) -> ReviewPlan:
    """The plan for a recipe that is open; `price` is that of one part looked at. Raises RecipeError, SettingError."""
    from sightline.evaluate.review_plan import plan_reviews
    from sightline.evaluate.thresholds import held_out_scores

    if recipe.card.without_good:
        raise RecipeError("this recipe was trained without good parts and never says OK: people look at every part")
    return plan_reviews(held_out_scores(recipe).astype(float), recipe.card.band, load, Prices(review=price))


def keys(folder: Path) -> dict[str, str]:
    """Make a pair of keys in `folder`: where they are, and the fingerprint."""
    private, public = folder / "sightline.key", folder / "sightline.pub"
    return {"fingerprint": make_keys(private, public), "private": str(private), "public": str(public)}


def sign(recipe: Path, key: Path) -> dict[str, str]:
    """Sign a recipe file in place."""
    signed = sign_data(read_recipe(recipe), key)
    try:
        write_atomically(recipe, signed)
    except OSError as error:
        raise RecipeError(f"{recipe}: cannot be written ({error.strerror}). It was left as it was") from error
    return {"recipe": str(recipe), "signed": "yes"}


def verify(recipe: Path, key: Path, product: str | None = None) -> dict[str, str]:
    """Check the signature of a recipe file, or of an exported folder; with `product`, what it is for, too."""
    if recipe.is_dir():
        return verify_folder(recipe, key, product)
    by = verify_data(read_recipe(recipe), key, str(recipe))
    loaded = Recipe.load(recipe)
    Release(product).check(loaded.card, loaded.data, str(recipe))
    facts = {"product": loaded.card.product, "made": loaded.card.provenance.created, "hash": loaded.hash}
    return {"recipe": str(recipe), "signed_by": by, **facts}


def revise(store: Store, hash: str, ok: float | None, ng: float | None, reason: str, by: str) -> StoredRecipe:
    """As `threshold`, of a recipe in the store: the revision is kept there, beside the recipe that it comes from."""
    before = store.recipes.find(hash)
    with tempfile.TemporaryDirectory(prefix="sightline-") as desk:
        file, revision = Path(desk) / "recipe.onnx", Path(desk) / "revision.onnx"
        file.write_bytes(store.recipes.file(before.hash))
        threshold(file, revision, ok, ng, reason, by)
        after = Recipe.load(revision)
    card = after.card.model_dump(mode="json")
    return store.recipes.register(after.data, before.product, before.name, by, before.version, before.hash, card)
