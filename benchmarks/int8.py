"""What int8 costs in accuracy: recipes trained in int8, and recipes exported to int8, beside the same in floats.

Needs the extra train, and the folders `cookies` and `magnetic_tile` of real parts in $SIGHTLINE_DATA or ../shared/data.
Writes int8.json and int8.md after each recipe; `--seeds 0 1`, `--sets cookies`. Speed: precision.py.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import sightline
from sightline.core.errors import RecipeError
from sightline.data.dataset import Dataset
from sightline.evaluate.comparison import compare
from sightline.operations.exporting import export

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SIGHTLINE_DATA", HERE.parents[1] / "shared" / "data"))
ALLOWED = 0.003  # of image AUROC


def measure(name: str, seed: int, effort: str) -> dict:
    """One set and one seed: AUROC in floats, trained in int8, and what the export says."""
    data = Dataset.open(DATA / name, seed=seed)
    floats, int8 = (sightline.train(data.train, effort=effort, seed=seed, precision=p) for p in ("f32", "int8"))
    both = compare(floats, int8, data.test)
    lost = both.escapes.only_first
    found = {"set": name, "seed": seed, "effort": effort, "good": both.good, "defective": both.defective}
    found |= {"auroc": both.auroc.to_json(), "changed": len(both.changed), "escapes_of_int8_alone": lost}
    with tempfile.TemporaryDirectory() as folder:
        file = floats.save(Path(folder) / "floats.onnx")
        try:
            done = export(file, "onnx-int8", Path(folder) / "int8.onnx", DATA / name)
            found["export"] = {key: done[key] for key in ("parity", "auroc", "auroc_before", "good", "defective")}
        except RecipeError as error:
            found["export"] = {"refused": str(error).partition(" Nothing was written")[0]}
    return found


def written(rows: list[dict]) -> str:
    """The readable page."""
    lines = []
    for row in rows:
        auroc, out = row["auroc"], row["export"]
        between = "" if auroc["lower"] is None else f" ({auroc['lower']:+.4f} to {auroc['upper']:+.4f})"
        said = out.get("refused") or f"AUROC {out['auroc'] - out['auroc_before']:+.4f}, " + (
            f"{out['parity']['verdict_flips']} of {out['parity']['images']} verdicts differ"
        )
        lines.append(
            f"| {row['set']}, {row['good']} + {row['defective']} | {row['seed']} | {auroc['first']:.4f} | "
            f"{auroc['second']:.4f} | {auroc['value']:+.4f}{between} | {row['changed']} | "
            f"{row['escapes_of_int8_alone']} | {said} |"
        )
    means = []
    for name in dict.fromkeys(row["set"] for row in rows):
        values = [row["auroc"]["value"] for row in rows if row["set"] == name]
        mean = sum(values) / len(values)
        means.append(f"{name} {mean:+.4f} over {len(values)} seeds ({'met' if mean >= -ALLOWED else 'missed'})")
    return (
        f"# int8 beside floats\n\n`python benchmarks/int8.py`: image AUROC on parts not trained on (good + defective), "
        f"effort {rows[0]['effort']}, sightline {sightline.__version__}. In brackets: 95 % interval.\n\n"
        "| set, parts | seed | floats | trained in int8 | difference | other verdicts | escapes of int8 alone | "
        "exported to int8 after the training |\n|---|---|---|---|---|---|---|---|\n"
        + "\n".join(lines)
        + f"\n\nGoal (trained in int8, at most 0.3 points of AUROC lost), mean differences: {'; '.join(means)}.\n"
    )


def main() -> None:
    """Measure all, and write after each."""
    options = argparse.ArgumentParser()
    options.add_argument("--sets", nargs="+", default=["cookies", "magnetic_tile"])
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options.add_argument("--effort", default="quick")
    wanted, rows = options.parse_args(), []
    for seed in wanted.seeds:
        for name in wanted.sets:
            rows.append(measure(name, seed, wanted.effort))
            (HERE / "int8.json").write_text(json.dumps(rows, indent=1) + "\n")
            (HERE / "int8.md").write_text(written(rows))


if __name__ == "__main__":
    main()
