"""A recipe exported for a device: int8, of fixed shapes, for OpenVINO or for browsers, behind the parity gate."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from sightline.core.card import METADATA_KEY, Parity
from sightline.core.errors import InputError, RecipeError, SettingError, require_lab
from sightline.core.progress import Progress, Tell, of_stage
from sightline.imaging.image import Image, content_hash
from sightline.operations.browser_runtime import refusals
from sightline.operations.opening import open_dataset
from sightline.runtime.engine_choice import probes
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe, check_writable, parse_card
from sightline.runtime.session import OnnxSession, OpenVinoSession, open_session
from sightline.runtime.signature import Release, sign_text, verify_text
from sightline.runtime.signature import sign as sign_data

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset
    from sightline.evaluate.comparison import Comparison

Format = Literal["onnx-int8", "openvino-int8", "onnx-static", "web"]
NEXT: dict[str, str] = {
    "onnx-int8": "use it as any recipe: sightline inspect {output} part.png",
    "openvino-int8": "load {output}/model.xml with OpenVINO; sightline verify {output} --key KEY.pub checks the folder",
    "onnx-static": "give it to your accelerator's compiler, or use it as any recipe, one image at a time",
    "web": "node examples/node/inspect.mjs {output} part.ppm, or load it with onnxruntime-web",
}
MODEL, WEIGHTS, CARD, MANIFEST, SIGNATURE = "model.xml", "model.bin", "card.json", "manifest.json", "manifest.sig"


def export(
    recipe: Path,
    to: Format,
    output: Path,
    data: Path | None = None,
    key: Path | None = None,
    threads: int = 2,
    outside: bool = False,
    *,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Write the recipe in another form, where it says what the recipe says; the figures of that, as plain JSON values.

    `data` are labelled parts: for int8 its ranges are read from those that the recipe was trained on, and the others
    judge it. `key`, a private key, signs what is written. Raises InputError, SettingError, RecipeError.
    """
    if to not in get_args(Format):
        raise SettingError(f"'{to}' is no form of a recipe. Choose one of: {', '.join(get_args(Format))}")
    require_lab("onnx")
    folder = to == "openvino-int8"
    if folder and output.exists():
        raise InputError(f"{output}: is there already. Name a new folder")
    check_writable(output)
    loaded, figures = Recipe.load(recipe), dict[str, Any]()
    if to.endswith("int8"):
        if data is None:
            raise SettingError(f"--to {to} needs labelled parts for its ranges and to be judged. Add --data FOLDER")
        require_lab("sklearn")
        dataset = open_dataset(data, tell, outside=outside, split=False)
        made, judged = _int8(loaded, dataset, "openvino" if folder else "onnxruntime", threads, progress)
        figures = {"good": judged.good, "defective": judged.defective}
        figures |= {"auroc": judged.auroc.second, "auroc_before": judged.auroc.first}
    else:
        made = _in_floats(loaded, to, threads)
    if folder:
        files = _save_openvino(made, output, key)
    else:
        files = [(made if key is None else Recipe(sign_data(made.data, key), made.card)).save(output)]
    return {
        "recipe": str(output),
        "to": to,
        "parent": loaded.hash,
        "bytes": sum(file.stat().st_size for file in files),
        "parent_bytes": len(loaded.data),
        "parity": None if made.card.parity is None else made.card.parity.model_dump(),
        **figures,
        "signed": key is not None,
        "next": NEXT[to].format(output=output),
    }


def verify_folder(folder: Path, key: Path, product: str | None = None) -> dict[str, str]:
    """Check a folder that `export` signed: its manifest by the public key, and every file by the manifest.

    Raises RecipeError for a file that is missing, was changed, or is not listed.
    """
    try:
        text, signature = (folder / MANIFEST).read_bytes(), (folder / SIGNATURE).read_bytes()
        by = verify_text(text, signature, key, str(folder / MANIFEST))
        manifest = json.loads(text)
        found = {path.name: path for path in folder.iterdir()}
        odd = set(found) ^ {MANIFEST, SIGNATURE, *manifest["files"]}
        odd |= {
            name for name, digest in manifest["files"].items() if name not in odd and _digest(found[name]) != digest
        }
    except OSError as error:
        raise RecipeError(f"{error.filename}: cannot be read ({error.strerror}). Export it again with --key") from error
    if odd:
        raise RecipeError(f"{folder}: not as it was signed: {', '.join(sorted(odd))}. Copy the folder again")
    card = parse_card({METADATA_KEY: (folder / CARD).read_text()}, str(folder / CARD))
    Release(product).check(card, text, str(folder))
    facts = {"product": card.product, "made": card.provenance.created}
    return {"recipe": str(folder), "signed_by": by, **facts, "hash": hashlib.sha256(text).hexdigest()}


def _in_floats(recipe: Recipe, to: str, threads: int) -> Recipe:
    from sightline.train.export.agreement import check_equal
    from sightline.train.export.formats import static, without_pictures

    needs = (*refusals(recipe.card), *(("16 bits",) if recipe.card.full_scale else ()))
    if to == "web" and needs:
        raise RecipeError(f"browsers cannot do what this recipe needs: {', '.join(needs)}. Inspect on a server instead")
    data = static(recipe.data)
    first, other = OnnxSession(recipe.data, threads), OnnxSession(data, threads)
    parity = check_equal(recipe, first.run, other.run, "onnxruntime, fixed shapes", probes(first))
    return _finished(without_pictures(data) if to == "web" else data, recipe, to, parity)


def _int8(
    recipe: Recipe,
    dataset: Dataset,
    engine: Literal["onnxruntime", "openvino"],
    threads: int,
    progress: Progress | None,
) -> tuple[Recipe, Comparison]:
    from sightline.evaluate.comparison import compare
    from sightline.train.export.agreement import check_agreement
    from sightline.train.export.formats import int8, without_pictures

    inspector = Inspector(recipe, threads)
    data = int8(recipe, _seen(inspector, dataset))
    other = Inspector(Recipe(data, recipe.card), threads, engine)
    judged = compare(inspector, other, dataset, progress=of_stage(progress, "inspecting"))
    parity = check_agreement(recipe, judged, f"{engine}, backbone in int8")
    to = "openvino-int8" if engine == "openvino" else "onnx-int8"
    return _finished(without_pictures(data) if engine == "openvino" else data, recipe, to, parity), judged


def _seen(inspector: Inspector, dataset: Dataset) -> Iterator[Image]:
    """Good parts that the recipe was trained on, as its graph sees them, spread over the set."""
    trained = frozenset(inspector.card.trained_on)
    good = [sample for sample in dataset if sample.defective is False and content_hash(sample.path) in trained]
    if not good:
        raise InputError("none of these parts was the recipe trained on, and int8 needs some. Give its training data")
    for sample in good[:: max(1, len(good) // 16)]:
        yield from inspector.inputs(sample.path)


def _finished(data: bytes, recipe: Recipe, to: str, parity: Parity) -> Recipe:
    from sightline.train.export.formats import with_origin

    how = f"{to}, from recipe {recipe.hash[:16]}"
    return with_origin(data, recipe, {"parity": parity, "choices": {**recipe.card.choices, "export": how}})


def _save_openvino(recipe: Recipe, output: Path, key: Path | None) -> list[Path]:
    """The folder, whole or not there: what was written is run once more and compared before it gets its name."""
    session = open_session(recipe.data, engine="openvino")
    assert isinstance(session, OpenVinoSession)
    from sightline.train.export.agreement import check_equal

    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as desk:
        made = Path(desk) / "export"
        made.mkdir()
        session.save(made / MODEL)
        shown = probes(OnnxSession(recipe.data, 1))
        check_equal(recipe, session.run, lambda arrays: session.run_saved(made / MODEL, arrays), "OpenVINO IR", shown)
        (made / CARD).write_text(session.metadata[METADATA_KEY])
        files = {name: _digest(made / name) for name in (MODEL, WEIGHTS, CARD)}
        card = recipe.card
        facts = {"product": card.product, "made": card.provenance.created, "parent": card.provenance.parent}
        manifest = json.dumps({"format": "openvino-int8", **facts, "files": files}, indent=1).encode()
        (made / MANIFEST).write_bytes(manifest)
        if key is not None:
            (made / SIGNATURE).write_bytes(sign_text(manifest, key))
        shutil.move(made, output)
    return sorted(output.iterdir())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
