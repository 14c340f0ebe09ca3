"""Visual inspection by deep learning: from photos of good parts to verdicts on the line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.core.band import Band as Band
    from sightline.core.band import Verdict as Verdict
    from sightline.core.errors import SightlineError as SightlineError
    from sightline.core.result import Defect as Defect
    from sightline.core.result import Result as Result
    from sightline.core.sample import Sample as Sample
    from sightline.data.dataset import Dataset as Dataset
    from sightline.evaluate.comparison import compare as compare
    from sightline.evaluate.evaluation import Evaluation as Evaluation
    from sightline.evaluate.evaluation import evaluate as evaluate
    from sightline.evaluate.explain.explanation import explain as explain
    from sightline.runtime.inspector import Inspector as Inspector
    from sightline.runtime.recipe import Recipe as Recipe
    from sightline.train.search.searching import search as search
    from sightline.train.teach import teach as teach
    from sightline.train.training import train as train

__version__ = "0.1.0"

# Public name -> the module that holds it, imported on first use: `import sightline` stays fast and torch-free.
_PUBLIC = {
    "Band": "sightline.core.band",
    "Dataset": "sightline.data.dataset",
    "Defect": "sightline.core.result",
    "Evaluation": "sightline.evaluate.evaluation",
    "Inspector": "sightline.runtime.inspector",
    "Recipe": "sightline.runtime.recipe",
    "Result": "sightline.core.result",
    "Sample": "sightline.core.sample",
    "SightlineError": "sightline.core.errors",
    "Verdict": "sightline.core.band",
    "compare": "sightline.evaluate.comparison",
    "explain": "sightline.evaluate.explain.explanation",
    "teach": "sightline.train.teach",
}
# Packages that can be called, see core.door.
_VERBS = {"evaluate": "sightline.evaluate", "search": "sightline.train.search", "train": "sightline.train"}
__all__ = sorted((*_PUBLIC, *_VERBS))  # noqa: PLE0605 - names, sorted


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return import_module(_VERBS[name])
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sightline' has no attribute '{name}'. It has: {', '.join(__all__)}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
