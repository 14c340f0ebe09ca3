"""A training as a run in MLflow: its settings, its figures with their bounds, and the recipe file."""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sightline.core.card import Bounded, Card
from sightline.core.errors import MissingExtraError, StoreError

MAX_TEXT = 500  # characters of a value; older servers take no more
EXPERIMENT = "sightline"


class Tracking:
    """A connection to MLflow: http://HOST:PORT, or sqlite:///FILE. Credentials come from the environment, as always.

    Raises MissingExtraError without the extra [mlflow], and StoreError where MLflow cannot be used: before a training,
    not after it.
    """

    def __init__(self, address: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would tell its makers about each run
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # of minutes, else
        with self._told():
            try:
                from mlflow.tracking import MlflowClient
            except ModuleNotFoundError as error:
                raise MissingExtraError("mlflow-skinny", "mlflow") from error
            logging.getLogger("mlflow").setLevel(logging.WARNING)
            self._client = MlflowClient(address)
            found = self._client.get_experiment_by_name(EXPERIMENT)
            self._experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)

    def log_training(self, recipe: Path, card: Card, figures: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
        """Write a run of the experiment `sightline`; its id. `figures` are of the training, those of `card` are added.

        A rate comes as NAME, NAME.upper (its exact bound) and NAME.of (parts it rests on). Raises StoreError; the
        recipe is saved by then, and stays.
        """
        with self._told(f"{recipe} is saved, but "):
            from mlflow.entities import Metric, Param, RunTag

            run = self._client.create_run(self._experiment, run_name=card.product).info.run_id
            numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
            now = int(time.time() * 1000)
            metrics = [Metric(name, float(value), now, 0) for name, value in {**numbers, **dict(rates(card))}.items()]
            params = [Param(name, str(value)[:MAX_TEXT]) for name, value in settings.items()]
            told = {"product": card.product, "backbone": card.backbone, "data": card.provenance.dataset}
            tags = [RunTag(f"sightline.{name}", value) for name, value in told.items()]
            self._client.log_batch(run, metrics, params, tags)
            self._client.log_artifact(run, str(recipe))
            self._client.set_terminated(run)
            return str(run)

    @contextmanager
    def _told(self, before: str = "") -> Iterator[None]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about how MLflow uses its own packages
                yield
        except MissingExtraError:
            raise
        except Exception as error:  # it has many, and so have the packages below it
            why = (str(error) or repr(error)).splitlines()[0]
            why = re.sub(r"(//[^:/@\s]*):[^@/\s]*@", r"\1:...@", why)  # a password in the address
            raise StoreError(
                f"{before}MLflow cannot be used ({why[:MAX_TEXT]}). Check --mlflow and its server"
            ) from error


def rates(section: BaseModel, path: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a card and its sections by their dotted names; of a rate also its bound and sample."""
    for name in type(section).model_fields:
        value, here = getattr(section, name), f"{path}{name}"
        if isinstance(value, Bounded):
            if value.value is not None:
                yield here, value.value
            yield f"{here}.upper", value.upper
            yield f"{here}.of", value.of
        elif isinstance(value, BaseModel):
            yield from rates(value, f"{here}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield here, value
