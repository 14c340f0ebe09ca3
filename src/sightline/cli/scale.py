"""Commands for more work than one process does: batches of images, and on clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli import console, text_lab
from sightline.cli.app import app
from sightline.cli.options import EngineName, Json, On, PrecisionName, RecipeFile
from sightline.core.progress import progress

Processes = Annotated[int, typer.Option(min=1, max=256, help="Processes on this machine; a cluster uses its cores.")]
Cores = Annotated[int, typer.Option(min=1, max=256, help="CPU threads of each process.")]


@app.command()
def batch(
    recipe: RecipeFile,
    source: Annotated[str, typer.Argument(help="Folder of images, or s3://BUCKET/FOLDER.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for results.jsonl, a row per image.", show_default=False)
    ],
    on: On = "local",
    processes: Processes = 1,
    threads: Cores = 1,
    block: Annotated[int, typer.Option(min=1, max=10_000, help="Images that are judged and kept together.")] = 64,
    engine: EngineName = "onnxruntime",
    precision: PrecisionName = "f32",
    as_json: Json = False,
) -> None:
    """Judge any number of images; run again, it goes on. Example: sightline batch a.onnx photos -o judged --on ray"""
    from sightline.operations import batch
    from sightline.runtime.cluster import Cluster

    cluster = Cluster(on, processes, threads)
    with progress(as_json) as bar:
        summary = batch.batch(recipe, source, output, cluster, block, engine, precision, progress=bar)
    console.say_json(summary.to_json()) if as_json else console.say(text_lab.batch(summary))
    if summary.lost:
        raise typer.Exit(1)


@app.command()
def train_all(
    folder: Annotated[Path, typer.Argument(help="Folder with a dataset per product.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the recipes.", show_default=False)],
    effort: Annotated[str, typer.Option(help="quick, normal or max.")] = "normal",
    sets: Annotated[list[str] | None, typer.Option("--set", help="Any training setting, as of train.")] = None,
    on: On = "local",
    processes: Processes = 1,
    threads: Cores = 1,
    as_json: Json = False,
) -> None:
    """Train a recipe per product of a folder. Example: sightline train-all photos -o recipes --processes 2"""
    from sightline.operations import retraining
    from sightline.runtime.cluster import Cluster
    from sightline.train.settings import parse_pairs

    settings, where = {"effort": effort, **parse_pairs(sets or [])}, Cluster(on, processes, threads)
    failed = False
    for one in console.each(lambda bar: retraining.train_all(folder, output, settings, where, progress=bar)):
        console.say_json(one.to_json()) if as_json else console.say(text_lab.train_all(one))
        failed |= one.error is not None
    if failed:
        raise typer.Exit(1)
