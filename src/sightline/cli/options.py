"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
Threads = Annotated[int, typer.Option(min=1, max=256, help="Processor threads.")]
Data = Annotated[Path, typer.Argument(help="Folder (MVTec or class folders) or CSV table.", show_default=False)]
EngineName = Annotated[Literal["onnxruntime", "openvino"], typer.Option("--engine", help="What runs the graph.")]
PrecisionName = Annotated[
    Literal["f32", "bf16"], typer.Option("--precision", help="What it computes in; bf16 with openvino only.")
]
Accurate = Annotated[
    Path | None, typer.Option(help="Recipe that judges again what the first leaves in REVIEW.", show_default=False)
]
RecipeFile = Annotated[Path, typer.Argument(help="Recipe file.", show_default=False)]
