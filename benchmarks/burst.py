"""How soon more defects than usual are noticed, and how often wrongly: python benchmarks/burst.py

Streams of verdicts alone, from a seed: the share of parts that are not OK stays as it was, or grows. Writes burst.json
and burst.md.
"""

import json
from pathlib import Path

import numpy as np

from sightline.improve.charts import FIRST, LAST, SIZE, Charts, Seen

HERE = Path(__file__).parent
NOTHING = np.full(SIZE, np.nan)
SHARES, TIMES = (0.002, 0.01, 0.05, 0.2), (2, 4, 8)
STILL, STREAMS, LONGEST = 200_000, 100, 5000


def alarm(charts, not_ok, start):
    """The first alarm of a stream, or None."""
    for number, bad in enumerate(not_ok, start):
        if found := charts.count_defects(Seen(number, NOTHING, float("nan"), not bad)):
            return found
    return None


def measure(share, known, rng):
    """False alarms of a share that stays, and delays once it has grown, after `known` parts that say what is usual."""
    false = 0
    for _ in range(STILL // 10_000):
        charts, stream = Charts(), (rng.random(known + 10_000) < share).tolist()
        while (found := alarm(charts, stream, 1)) is not None:
            false, stream = false + 1, stream[found.number :]
    row = {"share": share, "known": known, "false": false, "parts": STILL, "grown": {}}
    for times in TIMES:
        parts, grown = [], min(0.9, share * times)
        for _ in range(STREAMS):
            charts = Charts()
            alarm(charts, (rng.random(known) < share).tolist(), 1)
            found = alarm(charts, (rng.random(LONGEST) < grown).tolist(), 1)
            parts += [] if found is None else [found.number]
        median = float(np.median(parts)) if parts else None
        row["grown"][str(times)] = {"parts": median, "missed": STREAMS - len(parts), "of": STREAMS}
    return row


def told(one, share):
    """A cell of the table."""
    if one["parts"] is None:
        return "-; all"
    return f"{one['parts']:.0f} ({one['parts'] * share:.0f}); {one['missed']}"


def main():
    """Run all, write the figures."""
    rng = np.random.default_rng(1)
    rows = [measure(share, known, rng) for known in (FIRST, LAST) for share in SHARES]
    (HERE / "burst.json").write_text(json.dumps(rows, indent=1) + "\n")
    lines = [
        "# More defects than usual",
        "",
        f"Parts from the moment at which the share of parts not OK has grown to the alarm, median of {STREAMS}",
        "streams; in brackets how many of these are not OK; after the semicolon how many streams had no alarm within",
        f"{LONGEST} parts. `known`: parts before, which say what is usual. Written by `benchmarks/burst.py`.",
        "",
        f"| known | usual share | false alarms in {STILL} parts | " + " | ".join(f"{n} times" for n in TIMES) + " |",
        "|---|---|---|" + "---|" * len(TIMES),
    ]
    for row in rows:
        cells = [told(row["grown"][str(times)], min(0.9, row["share"] * times)) for times in TIMES]
        lines.append(f"| {row['known']} | {100 * row['share']:g} % | {row['false']} | " + " | ".join(cells) + " |")
    (HERE / "burst.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
