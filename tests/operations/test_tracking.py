"""A training in MLflow: what is in its database afterwards, and what is said where it cannot be used."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.conftest import TINY
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import MissingExtraError, StoreError
from sightline.operations import training
from sightline.operations.tracking import EXPERIMENT, Tracking
from sightline.runtime.recipe import Recipe

WORDS = [word for name, value in TINY.items() for word in ("--set", f"{name}={str(value).lower()}")]


@pytest.mark.filterwarnings("ignore")  # about how MLflow uses its own packages
def test_a_training_is_a_run_with_settings_figures_bounds_and_the_recipe(
    parts_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'sightline[mlflow]'")
    monkeypatch.chdir(tmp_path)  # beside its database, files lie in the current folder
    address, output = f"sqlite:///{tmp_path / 'runs.db'}", tmp_path / "plates.onnx"
    words = ["train", str(parts_folder), "-o", str(output), "--effort", "quick", "--json", *WORDS]
    done = CliRunner().invoke(app, words, env={"SIGHTLINE_MLFLOW": address})
    assert done.exit_code == 0, done.stderr
    from mlflow.tracking import MlflowClient

    client, card = MlflowClient(address), Recipe.load(output).card
    run = client.get_run(json.loads(done.stdout)["mlflow_run"])
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert (run.data.params["effort"], run.data.params["side_px"]) == ("quick", "112")
    overkill = card.calibration.overkill
    metrics = run.data.metrics
    assert metrics["calibration.overkill.upper"] == pytest.approx(overkill.upper)
    assert metrics["calibration.overkill.of"] == overkill.of
    assert (metrics["band.low"], metrics["band.high"]) == pytest.approx((card.band.low, card.band.high))
    assert metrics["seconds"] > 0
    assert run.data.tags["sightline.data"] == card.provenance.dataset
    kept = Path(client.download_artifacts(run.info.run_id, "plates.onnx", str(tmp_path)))
    assert kept.read_bytes() == output.read_bytes()


def test_without_the_extra_it_is_named_before_the_training(
    parts_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(MissingExtraError, match=r"sightline\[mlflow\]"):
        training.train(parts_folder, tmp_path / "x.onnx", {}, mlflow="sqlite:///x.db")
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("address", ["http://ann:s3cret@127.0.0.1:1", "nothing://here"])
def test_an_address_that_cannot_be_used_is_told_without_its_password(address: str) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'sightline[mlflow]'")
    with pytest.raises(StoreError, match="Check --mlflow") as caught:
        Tracking(address)
    assert "s3cret" not in str(caught.value)
