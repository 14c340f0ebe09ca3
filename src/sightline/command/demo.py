"""`sightline demo`: sample parts -> recipe -> verdicts -> report, in one minute and without own images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sightline.command.evaluating import evaluate
from sightline.command.inspecting import describe, inspect, open_judge
from sightline.command.training import describe as describe_training
from sightline.command.training import train
from sightline.core.errors import InputError

SHOWN = 3


def demo(folder: Path, product: str, effort: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the demo into `folder`; a second run uses the parts that are there. Paths and headline figures."""
    from sightline.data.dataset import Dataset
    from sightline.data.sample import write

    parts = folder / f"{product}-parts"
    if not (parts / "parts.csv").is_file():
        say(f"1. Photographing sample parts ({product}) into {parts}")
        write(parts, product)
    recipe, report, pictures = folder / f"{product}.onnx", folder / "report.html", folder / "overlays"
    say(f"2. Learning good parts: sightline train {parts} -o {recipe}")
    figures, card = train(parts, recipe, {"effort": effort, "product": product}, 0.3, None, quiet=False)
    say(describe_training(figures, card))
    test = Dataset.open(parts).test
    chosen = [sample.path for sample in test if sample.defective is False][:SHOWN]
    defective = [sample.path for sample in test if sample.defective]
    if not chosen or not defective:
        raise InputError(f"{parts}: incomplete sample parts. Delete that folder and run the demo again")
    chosen += defective[:: max(1, len(defective) // SHOWN)][:SHOWN]
    say(f"3. Inspecting parts it has never seen: sightline inspect {recipe} ... --overlays {pictures}")
    judge = open_judge(recipe, None, threads=2)
    for result in inspect(judge, chosen, pictures):
        say(describe(result))
    say(f"4. Measuring: sightline evaluate {recipe} {parts} --report {report}")
    evaluation = evaluate(judge, parts, report, include_trained=False, quiet=False)
    say(str(evaluation))
    say(f"Report: {report.resolve()}\nPictures: {pictures.resolve()}")
    return {"recipe": str(recipe), "report": str(report), "overlays": str(pictures), **figures, **evaluation.to_json()}
