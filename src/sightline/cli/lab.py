"""Commands of the lab: recipes made, measured, explained and tried."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli import console, text_lab
from sightline.cli.app import app
from sightline.cli.options import (
    PICTURES,
    RECIPE,
    Accurate,
    Data,
    EngineName,
    Images,
    Json,
    NewRecipe,
    On,
    Outside,
    PrecisionName,
    RecipeFile,
    Report,
    Threads,
    ends_in,
    no_data,
    no_recipe,
)
from sightline.core.progress import progress


@app.command()
def train(
    data: Data,
    output: NewRecipe,
    effort: Annotated[str, typer.Option(help="quick, normal or max: trades time for accuracy.")] = "normal",
    backbone: Annotated[str, typer.Option(help="lite0, lite1, lite2, dinov2-s or hf:NAME_OR_FOLDER.")] = "lite0",
    test_fraction: Annotated[float, typer.Option(help="Test share if the data has no split.")] = 0.3,
    train_good: Annotated[
        int | None, typer.Option(min=1, help="Train on this many good parts and test on the rest.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    threads: Threads = 2,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any training setting, such as align=never; docs/reference/cli.md lists them."),
    ] = None,
    outside: Outside = False,
    mlflow: Annotated[
        str | None, typer.Option(envvar="SIGHTLINE_MLFLOW", help="MLflow server to log the training to.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a recipe on photos of good parts. Example: sightline train photos/cookies -o cookies.onnx"""
    from sightline.operations import training
    from sightline.train.settings import parse_pairs

    settings: dict[str, object] = {"effort": effort, "backbone": backbone, "seed": seed, "threads": threads}
    settings |= parse_pairs(sets or [])
    tell = console.aside(as_json)
    with progress(as_json) as bar:
        how = test_fraction, train_good, outside, mlflow
        trained = training.train(data, output, settings, *how, progress=bar, tell=tell)
    figures = trained.figures
    console.say_json(figures) if as_json else console.say(text_lab.train(figures, trained.card))


@app.command()
def search(
    data: Data,
    output: NewRecipe,
    trials: Annotated[int, typer.Option(min=1, help="Total number of trials in the study.")] = 20,
    budget: Annotated[
        str | None, typer.Option(help="Time budget for the trials: 90s, 10m or 2h.", show_default=False)
    ] = None,
    report: Report = None,
    study: Annotated[Path | None, typer.Option(help="SQLite file of the study; an existing one is continued.")] = None,
    escape_price: Annotated[float, typer.Option(help="Cost of a defective part judged OK.")] = 50.0,
    overkill_price: Annotated[float, typer.Option(help="Cost of a good part judged NG.")] = 2.0,
    review_price: Annotated[float | None, typer.Option(help="Cost of a part in REVIEW; none = no review.")] = None,
    defect_rate: Annotated[float, typer.Option(help="Share of defective parts on the line.")] = 0.01,
    folds: Annotated[int, typer.Option(min=2, help="Cross-validation folds per trial.")] = 3,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Trials run in parallel.")] = 1,
    on: On = "local",
    backbones: Annotated[str, typer.Option(help="Backbones to try, separated by commas.")] = "lite0,lite1,lite2",
    test_fraction: Annotated[float, typer.Option(help="Test share if the data has no split.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    threads: Threads = 2,
    sets: Annotated[list[str] | None, typer.Option("--set", help="Training setting to hold fixed, key=value.")] = None,
    outside: Outside = False,
    as_json: Json = False,
) -> None:
    """Find the settings whose errors cost least. Example: sightline search photos/cookies -o cookies.onnx"""
    from sightline.operations import training
    from sightline.train.settings import parse_pairs

    prices = {"escape_price": escape_price, "overkill_price": overkill_price, "review_price": review_price}
    bounds = {"trials": trials, "budget": budget, "folds": folds, "processes": processes, "on": on, "study": study}
    options = {**prices, **bounds, "defect_rate": defect_rate, "backbones": backbones.split(",")}
    settings: dict[str, object] = {"seed": seed, "threads": threads, **parse_pairs(sets or [])}
    tell = console.aside(as_json)
    with progress(as_json) as bar:
        found = training.search(
            data, output, options, settings, report, test_fraction, outside, progress=bar, tell=tell
        )
    console.say_json(found.to_json()) if as_json else console.say(text_lab.search(found, output))
    console.name_report(report)


@app.command()
def evaluate(
    recipe: RecipeFile,
    data: Data,
    report: Report = None,
    include_trained: Annotated[bool, typer.Option(help="Also score images the recipe was trained on.")] = False,
    accurate: Accurate = None,
    threads: Threads = 2,
    engine: EngineName = "onnxruntime",
    precision: PrecisionName = "f32",
    outside: Outside = False,
    as_json: Json = False,
) -> None:
    """Measure a recipe on parts it has not seen. Example: sightline evaluate cookies.onnx photos/cookies"""
    from sightline.operations import inspection, recipes

    judging = inspection.Judging(recipe, accurate, threads, engine, precision)
    tell = console.aside(as_json)
    with progress(as_json) as bar:
        evaluation = recipes.evaluate(judging, data, report, include_trained, outside, progress=bar, tell=tell)
    console.say_json(evaluation.to_json()) if as_json else console.say(str(evaluation))
    console.name_report(report)


@app.command()
def compare(
    first: RecipeFile,
    second: Annotated[Path, typer.Argument(help="Another recipe file.", show_default=False, callback=no_data)],
    data: Data,
    report: Report = None,
    include_trained: Annotated[bool, typer.Option(help="Also use images either recipe was trained on.")] = False,
    threads: Threads = 2,
    outside: Outside = False,
    as_json: Json = False,
) -> None:
    """Compare two recipes. Example: sightline compare old.onnx new.onnx photos/cookies"""
    from sightline.operations import recipes

    tell = console.aside(as_json)
    with progress(as_json) as bar:
        found = recipes.compare(first, second, data, report, include_trained, threads, outside, progress=bar, tell=tell)
    console.say_json(found.to_json()) if as_json else console.say(text_lab.compare(found))
    console.name_report(report)


@app.command()
def inspect(
    recipe: RecipeFile,
    images: Images,
    overlays: Annotated[Path | None, typer.Option(help="Folder for overlay images of the defects found.")] = None,
    fail_on_ng: Annotated[bool, typer.Option(help="Exit with code 1 if any part is NG.")] = False,
    accurate: Accurate = None,
    threads: Threads = 2,
    engine: EngineName = "onnxruntime",
    precision: PrecisionName = "f32",
    as_json: Json = False,
) -> None:
    """Inspect images. Example: sightline inspect cookies.onnx part.png"""
    from sightline.operations import inspection

    failed = False
    judging = inspection.Judging(recipe, accurate, threads, engine, precision)
    for result in inspection.inspect(judging, images, overlays, tell=console.aside(as_json)):
        console.say_json(result) if as_json else console.say(text_lab.inspect(result))
        failed |= bool(result.get("error")) or (fail_on_ng and result["verdict"] == "NG")
    if failed:
        raise typer.Exit(1)


@app.command()
def explain(
    recipe: RecipeFile,
    images: Images,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Output image, or a folder for several.", callback=ends_in(*PICTURES, folder=True)
        ),
    ] = Path("why.png"),
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Show why a part got its verdict. Example: sightline explain cookies.onnx part.png -o why.png"""
    from sightline.operations import inspection

    failed = False
    for result in inspection.explain(recipe, images, output, threads=threads):
        console.say_json(result) if as_json else console.say(text_lab.explain(result))
        failed |= bool(result.get("error"))
    if failed:
        raise typer.Exit(1)


@app.command()
def teach(
    recipe: RecipeFile,
    name: Annotated[str, typer.Argument(help="Name of the new defect type.", show_default=False)],
    images: Annotated[
        list[Path],
        typer.Argument(help="3 to 5 images of parts with this defect.", show_default=False, callback=no_recipe),
    ],
    output: NewRecipe,
    as_json: Json = False,
) -> None:
    """Teach a recipe a new defect type. Example: sightline teach a.onnx chip chip1.png chip2.png chip3.png -o b.onnx"""
    from sightline.operations import training

    figures = training.teach(recipe, name, images, output)
    console.say_json(figures) if as_json else console.say(text_lab.teach(figures))


@app.command()
def export(
    recipe: RecipeFile,
    to: Annotated[str, typer.Option(help="onnx-int8, openvino-int8, onnx-static or web.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File, or folder, to write.", show_default=False)],
    data: Annotated[Path | None, typer.Option(help="Labelled parts, of the training too; for int8.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key file, to sign it.")] = None,
    threads: Threads = 2,
    outside: Outside = False,
    as_json: Json = False,
) -> None:
    """Export a recipe for a device. Example: sightline export cookies.onnx --to web -o cookies-web.onnx"""
    from sightline.operations import exporting

    form: Any = to  # the operation checks it
    how = form, output, data, key, threads, outside
    with progress(as_json) as bar:
        figures = exporting.export(recipe, *how, progress=bar, tell=console.aside(as_json))
    console.say_json(figures) if as_json else console.say(text_lab.export(figures))


@app.command()
def threshold(
    recipe: RecipeFile,
    reason: Annotated[str, typer.Option(help="Reason, stored in the recipe.", show_default=False)],
    ok: Annotated[float | None, typer.Option(help="Highest score that is OK.", show_default=False)] = None,
    ng: Annotated[float | None, typer.Option(help="Score above which a part is NG.", show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; by default RECIPE-2.onnx beside it.", callback=ends_in(RECIPE)
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="Who sets them, stored in the recipe.")] = "a person",
    as_json: Json = False,
) -> None:
    """Set thresholds by hand. Example: sightline threshold a.onnx --ok 1.2 --ng 2 --reason "limit samples of May" """
    from sightline.operations import recipes

    figures = recipes.threshold(recipe, output, ok, ng, reason, by)
    console.say_json(figures) if as_json else console.say(text_lab.threshold(figures))


@app.command("review-plan")
def review_plan(
    recipe: RecipeFile,
    parts: Annotated[float, typer.Option(help="Parts per shift that people can look at.", show_default=False)],
    takt_s: Annotated[float, typer.Option(help="Seconds per part of the line.", show_default=False)],
    shift_h: Annotated[float, typer.Option(help="Hours of a shift.")] = 8.0,
    shipped: Annotated[float, typer.Option(help="Share of OK parts that may be defective at most.")] = 0.001,
    weeks: Annotated[float, typer.Option(help="After so many weeks that is to be known.")] = 4.0,
    shifts: Annotated[float, typer.Option(help="Shifts a week.")] = 15.0,
    price: Annotated[float | None, typer.Option(help="Price of looking at one part.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Revision to write.")] = None,
    by: Annotated[str, typer.Option(help="Who decides, stored in the recipe.")] = "a person",
    as_json: Json = False,
) -> None:
    """Thresholds for a review load. Example: sightline review-plan a.onnx --parts 60 --takt-s 2"""
    from sightline.evaluate.review_plan import Workload
    from sightline.operations import recipes

    load = Workload(parts, takt_s, shift_h, shipped, weeks, shifts)
    figures = recipes.review_plan(recipe, load, price, output, by)
    console.say_json(figures) if as_json else console.say(text_lab.review_plan(figures))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the demo's files.")] = Path("demo"),
    product: Annotated[str, typer.Option(help="cap or board.")] = "cap",
    effort: Annotated[str, typer.Option(help="quick, normal or max.")] = "normal",
    app: Annotated[
        bool | None, typer.Option("--app/--no-app", help="Open the web app at the end.", show_default="with a screen")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the whole workflow on sample parts in a minute. Example: sightline demo"""
    from sightline.web import demo

    say = console.complain if as_json else console.say
    how: Any = {"app": app, "browser": console.has_browser(), "tell": console.complain}
    for step, value in console.each(lambda bar: demo.demo(folder, product, effort, progress=bar, **how)):
        say(text_lab.demo(step, value))
        if as_json and step == "done":
            console.say_json(value)


@app.command()
def synthesize(
    data: Data,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Picture to write, .png or .jpg.", show_default=False, callback=ends_in(*PICTURES)
        ),
    ],
    images: Annotated[int, typer.Option(min=1, max=20, help="Number of good parts to draw defects on.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    as_json: Json = False,
) -> None:
    """Draw synthetic defects on good parts to look at. Example: sightline synthesize photos/cookies -o sheet.png"""
    from sightline.operations import training

    figures = training.synthesize(data, output, images, seed)
    console.say_json(figures) if as_json else console.say(text_lab.synthesize(figures))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check that this machine is ready. Example: sightline doctor"""
    from sightline.operations import doctor

    checks = doctor.doctor()
    console.say_json([check.to_json() for check in checks]) if as_json else console.say(text_lab.doctor(checks))
    if not all(check.ok for check in checks if check.needed):
        raise typer.Exit(1)
