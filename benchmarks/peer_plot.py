"""Accuracy against milliseconds, one mark per model and one line per set: python benchmarks/peer_plot.py"""

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
TARGET = HERE.parent / "docs" / "images" / "peer.png"
STYLE = {
    "sightline": ("Sightline, default", "#1f6feb", "o"),
    "sightline-256": ("Sightline, 256 px", "#79b0ff", "o"),
    "patchcore": ("PatchCore", "#d1572b", "s"),
    "padim": ("PaDiM", "#e8a33d", "^"),
    "sightline-dinov2": ("Sightline, DINOv2-S", "#0b3d91", "D"),
    "anomalydino": ("AnomalyDINO", "#8b2f10", "v"),
}
FIGURES = {"image_auroc": "image AUROC", "aupro": "AUPRO"}


def draw(result, target=TARGET):
    """Two panels: image AUROC and AUPRO of every set over the time per image."""
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 4.1), dpi=130, constrained_layout=True)
    for panel, (key, words) in zip(panels, FIGURES.items(), strict=True):
        for name, entry in result["sets"].items():
            rows = [(row["ms_p50"], row[key], model) for model, row in entry["models"].items() if row[key] is not None]
            rows.sort()
            if not rows:
                continue
            panel.plot([r[0] for r in rows], [r[1] for r in rows], color="#d0d7de", linewidth=1, zorder=1)
            for ms, value, model in rows:
                _, colour, mark = STYLE[model]
                panel.scatter(ms, value, color=colour, marker=mark, s=42, zorder=2)
            panel.annotate(name, (rows[-1][0], rows[-1][1]), xytext=(7, 0), textcoords="offset points",
                           fontsize=7.5, color="#57606a", va="center")  # fmt: skip
        panel.set_xlabel("ms per image, file to verdict (2 cores)")
        panel.set_ylabel(words)
        panel.margins(x=0.3)  # for the names at the right
        panel.set_xlim(left=0)
        panel.grid(alpha=0.25)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    shown = {model for entry in result["sets"].values() for model in entry["models"]}
    for label, colour, mark in (style for model, style in STYLE.items() if model in shown):
        panels[0].scatter([], [], color=colour, marker=mark, label=label)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(shown), fontsize=8, frameon=False
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target)
    plt.close(figure)
    return target


if __name__ == "__main__":
    print(draw(json.loads((HERE / "peer.json").read_text())))
