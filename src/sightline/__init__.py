"""Visual inspection by deep learning: from photos of good parts to verdicts on the line."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Threads that wait for work in torch must sleep, not spin: beside other busy processes they would take several times
# their share (docs/decisions/0005). Read when torch is loaded, so it is set before; whoever sets it otherwise is heard.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from sightline.core.errors import SightlineError as SightlineError
    from sightline.core.result import Band as Band
    from sightline.core.result import Defect as Defect
    from sightline.core.result import Result as Result
    from sightline.core.result import Verdict as Verdict
    from sightline.core.sample import Sample as Sample
    from sightline.data.dataset import Dataset as Dataset
    from sightline.evaluate.comparison import compare as compare
    from sightline.evaluate.evaluating import evaluate as evaluate
    from sightline.evaluate.evaluation import Evaluation as Evaluation
    from sightline.evaluate.explain.explaining import explain as explain
    from sightline.evaluate.thresholds import set_thresholds as set_thresholds
    from sightline.runtime.inspector import Inspector as Inspector
    from sightline.runtime.recipe import Recipe as Recipe
    from sightline.train.search.searching import search as search
    from sightline.train.teach.teaching import teach as teach
    from sightline.train.training import train as train

__version__ = "0.1.0"

# Public name -> the module that holds it, imported on first use: `import sightline` stays fast and torch-free.
_PUBLIC = {
    "Band": "sightline.core.result",
    "Dataset": "sightline.data.dataset",
    "Defect": "sightline.core.result",
    "Evaluation": "sightline.evaluate.evaluation",
    "Inspector": "sightline.runtime.inspector",
    "Recipe": "sightline.runtime.recipe",
    "Result": "sightline.core.result",
    "Sample": "sightline.core.sample",
    "SightlineError": "sightline.core.errors",
    "Verdict": "sightline.core.result",
    "compare": "sightline.evaluate.comparison",
    "explain": "sightline.evaluate.explain.explaining",
    "set_thresholds": "sightline.evaluate.thresholds",
    "teach": "sightline.train.teach.teaching",
}
# Packages that can be called, see core.door.
_VERBS = {"evaluate": "sightline.evaluate", "search": "sightline.train.search", "train": "sightline.train"}
__all__ = sorted((*_PUBLIC, *_VERBS))  # noqa: PLE0605 - names, sorted


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return import_module(_VERBS[name])
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sightline' has no attribute '{name}'. It has: {', '.join(__all__)}")
    try:
        return getattr(import_module(_PUBLIC[name]), name)
    except ModuleNotFoundError as error:
        from sightline.core.errors import missing_extra

        raise missing_extra(error) or error from error


def __dir__() -> list[str]:
    return __all__
