"""Commands of the lab: recipes made, measured, explained and tried."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.app import app
from sightline.cli.options import Accurate, Data, EngineName, Json, PrecisionName, RecipeFile, Threads
from sightline.command import console


@app.command()
def train(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Recipe file to write.", show_default=False)],
    effort: Annotated[str, typer.Option(help="quick, normal or max: accuracy for time.")] = "normal",
    backbone: Annotated[str, typer.Option(help="lite0, lite1, lite2, dinov2-s or hf:NAME_OR_FOLDER.")] = "lite0",
    test_fraction: Annotated[float, typer.Option(help="Share for test where the data gives no split.")] = 0.3,
    train_good: Annotated[int | None, typer.Option(min=1, help="Train on this many good parts, test the rest.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    threads: Threads = 2,
    sets: Annotated[list[str] | None, typer.Option("--set", help="Any training setting, key=value.")] = None,
    as_json: Json = False,
) -> None:
    """Learn a recipe from photos of good parts. Example: sightline train photos/cookies -o cookies.onnx"""
    from sightline.command import training
    from sightline.train.settings import parse_pairs

    settings: dict[str, object] = {"effort": effort, "backbone": backbone, "seed": seed, "threads": threads}
    settings |= parse_pairs(sets or [])
    figures, card = training.train(data, output, settings, test_fraction, train_good, quiet=as_json)
    console.say_json(figures) if as_json else console.say(training.describe(figures, card))


@app.command()
def search(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Recipe file to write.", show_default=False)],
    trials: Annotated[int, typer.Option(min=1, help="Trials that the study shall have in all.")] = 20,
    budget: Annotated[str | None, typer.Option(help="Time for the trials: 90s, 10m or 2h.", show_default=False)] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
    study: Annotated[Path | None, typer.Option(help="SQLite file of the trials; a search goes on with it.")] = None,
    escape_price: Annotated[float, typer.Option(help="Price of a defective part judged OK.")] = 50.0,
    overkill_price: Annotated[float, typer.Option(help="Price of a good part judged NG.")] = 2.0,
    review_price: Annotated[float | None, typer.Option(help="Price of a part in REVIEW; none = no review.")] = None,
    defect_rate: Annotated[float, typer.Option(help="Share of defective parts on the line.")] = 0.01,
    folds: Annotated[int, typer.Option(min=2, help="Folds that a trial is judged on.")] = 3,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Trials at a time.")] = 1,
    backbones: Annotated[str, typer.Option(help="Backbones to try, with commas.")] = "lite0,lite1,lite2",
    test_fraction: Annotated[float, typer.Option(help="Share for test where the data gives no split.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    threads: Threads = 2,
    sets: Annotated[list[str] | None, typer.Option("--set", help="A training setting to fix, key=value.")] = None,
    as_json: Json = False,
) -> None:
    """Find the settings whose errors cost least. Example: sightline search photos/cookies -o cookies.onnx"""
    from sightline.command import searching
    from sightline.train.settings import parse_pairs

    prices = {"escape_price": escape_price, "overkill_price": overkill_price, "review_price": review_price}
    bounds = {"trials": trials, "budget": budget, "folds": folds, "processes": processes, "study": study}
    options = {**prices, **bounds, "defect_rate": defect_rate, "backbones": backbones.split(",")}
    settings: dict[str, object] = {"seed": seed, "threads": threads, **parse_pairs(sets or [])}
    found = searching.search(data, output, report, test_fraction, options, settings, quiet=as_json)
    console.say_json(found.to_json()) if as_json else console.say(searching.describe(found, output))
    if report is not None:
        console.complain(f"Report: {report.resolve()}")


@app.command()
def evaluate(
    recipe: RecipeFile,
    data: Data,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
    include_trained: Annotated[bool, typer.Option(help="Score images the recipe was trained on, too.")] = False,
    accurate: Accurate = None,
    threads: Threads = 2,
    engine: EngineName = "onnxruntime",
    precision: PrecisionName = "f32",
    as_json: Json = False,
) -> None:
    """Measure a recipe on parts it has not seen. Example: sightline evaluate cookies.onnx photos/cookies"""
    from sightline.command import evaluating, inspecting

    judge = inspecting.open_judge(recipe, accurate, threads, engine, precision)
    evaluation = evaluating.evaluate(judge, data, report, include_trained, as_json)
    console.say_json(evaluation.to_json()) if as_json else console.say(str(evaluation))
    if report is not None:
        console.complain(f"Report: {report.resolve()}")


@app.command()
def compare(
    first: RecipeFile,
    second: Annotated[Path, typer.Argument(help="Another recipe file.", show_default=False)],
    data: Data,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
    include_trained: Annotated[bool, typer.Option(help="Judge images that a recipe was trained on, too.")] = False,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Is one of two recipes better? Example: sightline compare old.onnx new.onnx photos/cookies"""
    from sightline.command import comparing

    found = comparing.compare(first, second, data, report, include_trained, threads, as_json)
    console.say_json(found.to_json()) if as_json else console.say(comparing.describe(found))
    if report is not None:
        console.complain(f"Report: {report.resolve()}")


@app.command()
def inspect(
    recipe: RecipeFile,
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.", show_default=False)],
    overlays: Annotated[Path | None, typer.Option(help="Folder for pictures of what was found.")] = None,
    fail_on_ng: Annotated[bool, typer.Option(help="Exit with 1 if a part is NG.")] = False,
    accurate: Accurate = None,
    threads: Threads = 2,
    engine: EngineName = "onnxruntime",
    precision: PrecisionName = "f32",
    as_json: Json = False,
) -> None:
    """Judge images. Example: sightline inspect cookies.onnx part.png"""
    from sightline.command import inspecting

    failed = False
    judge = inspecting.open_judge(recipe, accurate, threads, engine, precision)
    for result in inspecting.inspect(judge, images, overlays):
        console.say_json(result) if as_json else console.say(inspecting.describe(result))
        failed |= bool(result.get("error")) or (fail_on_ng and result["verdict"] == "NG")
    if failed:
        raise typer.Exit(1)


@app.command()
def explain(
    recipe: RecipeFile,
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture, or folder for pictures.")] = Path("why.png"),
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Show why a part got its verdict. Example: sightline explain cookies.onnx part.png -o why.png"""
    from sightline.command import explaining

    failed = False
    for result in explaining.explain(recipe, images, output, threads):
        console.say_json(result) if as_json else console.say(explaining.describe(result))
        failed |= bool(result.get("error"))
    if failed:
        raise typer.Exit(1)


@app.command()
def teach(
    recipe: RecipeFile,
    name: Annotated[str, typer.Argument(help="Name of the new defect type.", show_default=False)],
    images: Annotated[list[Path], typer.Argument(help="3 to 5 images of parts that carry it.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Recipe file to write.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Teach a recipe a new defect type. Example: sightline teach a.onnx chip chip1.png chip2.png chip3.png -o b.onnx"""
    from sightline.command import teaching

    figures = teaching.teach(recipe, name, images, output)
    console.say_json(figures) if as_json else console.say(teaching.describe(figures))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the demo's files.")] = Path("demo"),
    product: Annotated[str, typer.Option(help="cap, board or fabric.")] = "cap",
    effort: Annotated[str, typer.Option(help="quick, normal or max.")] = "normal",
    as_json: Json = False,
) -> None:
    """Sample parts, recipe, verdicts and report in a minute. Example: sightline demo"""
    from sightline.command import demo as demonstration

    say = console.complain if as_json else console.say
    figures = demonstration.demo(folder, product, effort, say)
    if as_json:
        console.say_json(figures)


@app.command()
def synthesize(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write, .png or .jpg.", show_default=False)],
    images: Annotated[int, typer.Option(min=1, max=20, help="Good parts to show defects on.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    as_json: Json = False,
) -> None:
    """Show made defects on good parts, for a look. Example: sightline synthesize photos/cookies -o sheet.png"""
    from sightline.command import synthesizing

    figures = synthesizing.synthesize(data, output, images, seed)
    console.say_json(figures) if as_json else console.say(synthesizing.describe(figures))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check that this machine is ready. Example: sightline doctor"""
    from sightline.command import doctor as checkup

    checks = checkup.doctor()
    console.say_json([check.to_json() for check in checks]) if as_json else console.say(checkup.describe(checks))
    if not all(check.ok for check in checks if check.needed):
        raise typer.Exit(1)
