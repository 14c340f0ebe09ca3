"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from sightline.core.errors import SettingError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
RECIPE = ".onnx"


def no_recipe(given: Path | list[Path]) -> Path | list[Path]:
    """Data or images as given. Raises SettingError for a recipe among them: the arguments were swapped."""
    for path in given if isinstance(given, list) else [given]:
        if path.suffix.lower() == RECIPE:
            raise SettingError(
                f"{path}: is a recipe, but data or images are expected here. Give recipes first, then the data"
            )
    return given


def no_data(path: Path) -> Path:
    """A recipe file as given. Raises SettingError for a folder or a picture: the arguments were swapped."""
    if path.is_dir() or path.suffix.lower() in PICTURES:
        kind = "folder" if path.is_dir() else "picture"
        raise SettingError(
            f"{path}: is a {kind}, but a recipe (a file like part.onnx) is expected here. It comes before the data"
        )
    return path


def ends_in(*suffixes: str, folder: bool = False) -> Callable[[Path | None], Path | None]:
    """A file to write as given. The callback raises SettingError for a name that ends in none of the suffixes, before
    any work is done; `folder`: a name without a suffix, or a folder that is there, will do as well.
    """

    def check(path: Path | None) -> Path | None:
        if path is None or path.suffix.lower() in suffixes or (folder and (not path.suffix or path.is_dir())):
            return path
        listed = " or ".join(suffixes)
        raise SettingError(
            f"{path}: this file ends in {listed}. Name it {path.with_suffix(suffixes[0]).name}, for instance"
        )

    return check


Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
Threads = Annotated[int, typer.Option(min=1, max=256, help="CPU threads.")]
Data = Annotated[
    Path,
    typer.Argument(
        help="Folder with good/ and defect types, train/ and test/ (MVTec), COCO, CVAT, VOC, YOLO, LabelMe, a CSV "
        "table, or just photos of good parts.",
        show_default=False,
        callback=no_recipe,
    ),
]
Outside = Annotated[bool, typer.Option("--outside", help="Allow a table to refer to images outside its folder.")]
EngineName = Annotated[
    Literal["onnxruntime", "openvino", "auto"],
    typer.Option("--engine", help="Inference engine; auto: the fastest here whose results equal onnxruntime's."),
]
PrecisionName = Annotated[
    Literal["f32", "bf16"], typer.Option("--precision", help="Numeric precision; bf16 with openvino only.")
]
Accurate = Annotated[
    Path | None, typer.Option(help="Second recipe, for parts the first leaves in REVIEW.", show_default=False)
]
RecipeFile = Annotated[Path, typer.Argument(help="Recipe file.", show_default=False, callback=no_data)]
NewRecipe = Annotated[
    Path, typer.Option("--output", "-o", help="Recipe file to write.", show_default=False, callback=ends_in(RECIPE))
]
Report = Annotated[Path | None, typer.Option(help="HTML report to write.", callback=ends_in(".html", ".htm"))]
Images = Annotated[
    list[Path], typer.Argument(help="Images, or folders of images.", show_default=False, callback=no_recipe)
]
On = Annotated[
    str, typer.Option("--on", help="local; ray: the Ray cluster of this machine; ray://HOST:PORT: another's.")
]
