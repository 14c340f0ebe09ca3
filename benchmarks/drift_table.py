"""The figures of drift.py as a page. Used by drift.py."""

from pathlib import Path

HERE = Path(__file__).parent
GOAL_PARTS, GOAL_RIGHT, GOAL_STILL = 200, 0.9, 20_000


def in_time(one):
    """How many of a change's streams alarmed within the goal."""
    return sum(delay is not None and delay <= GOAL_PARTS for delay in one["delays"])


def delays(one):
    """Median and worst delay of those that alarmed."""
    found = sorted(delay for delay in one["delays"] if delay is not None)
    return f"{found[len(found) // 2]}, {found[-1]}" if found else "-"


def rows(told, names):
    """A line for each set and change."""
    for name in names:
        for change, one in told["sets"][name]["changes"].items():
            runs = len(one["delays"])
            causes = ", ".join(f"{cause} {count}" for cause, count in one["causes"].items()) or "-"
            yield (
                f"| {name} | {change} | {100 * one['lost']:+.1f} | {runs - one['delays'].count(None)}/{runs} | "
                f"{delays(one)} | {in_time(one)}/{runs} | {causes} | {one['right']}/{runs} |"
            )


def summed(told, names, wanted):
    """(streams, in time, right cause among those that alarmed, that alarmed) over changes that `wanted` takes."""
    changes = [one for name in names for one in told["sets"][name]["changes"].values() if wanted(one)]
    alarmed = sum(len(one["delays"]) - one["delays"].count(None) for one in changes)
    return (
        sum(len(one["delays"]) for one in changes), sum(map(in_time, changes)), sum(one["right"] for one in changes),
        alarmed,
    )  # fmt: skip


def verdict(told, names, what):
    """The goals, said in words for some sets."""
    streams, timely, right, alarmed = summed(told, names, lambda one: True)
    costly = summed(told, names, lambda one: one["costs"])
    share = right / max(1, alarmed)
    return (
        f"| {what} | {costly[1]}/{costly[0]} | {timely}/{streams} | {right}/{alarmed} ({share:.0%}), "
        f"goal {GOAL_RIGHT:.0%} |"
    )


def write(told, chosen_on, checked_on):
    """drift.md beside this file."""
    sets, counts, screw = told["sets"], told["counts"], told["ballscrew"]
    still_parts = counts["still"] * len(sets)
    still = [(name, alarm) for name, one in sets.items() for alarm in one["still"]]
    early = sum(one["before"] for each in sets.values() for one in each["changes"].values())
    made = [f"{parts}: {len(found)}" for parts, found in told["made"].items()]
    parts = ", ".join(f"{name} {one['trained']} trained, {one['held']} held back" for name, one in sets.items())
    lines = [
        "# Drift and its cause",
        "",
        f"`python benchmarks/drift.py`: {parts}. Every change ramps in over 200 parts after 300 unchanged ones: 15 % "
        "darker or brighter, a blur of 0.6 % of the longest side, 2 degrees of turn, 3 % of shift, red up and blue "
        "down "
        "by 10 %, two blurred specks that take 35 % of the light; and, as supplier, half of the parts are the set's "
        "defective ones. A delay is counted from the part at which the change "
        "has cost two points of AUROC, or from the ramp's end where it costs less; negative: alarmed before that.",
        "",
        "## Goals",
        f"| sets | costly changes alarmed within {GOAL_PARTS} parts | all changes | right cause of those that "
        "alarmed |",
        "|---|---|---|---|",
        verdict(told, chosen_on, "settings were chosen on: " + ", ".join(chosen_on)),
        verdict(told, checked_on, "not looked at for that: " + ", ".join(checked_on)),
        "",
        f"**False alarms.** Unchanged real parts, half of them drawn from among their neighbours: {len(still)} "
        "alarms in "
        f"{still_parts:,} parts{' (' + ', '.join(f'{name}: {cause}' for name, cause in still) + ')' if still else ''}; "
        f"{early} more in the {300 * counts['runs'] * 8 * len(sets):,} parts before the changes. Made parts with long "
        "tails (Student's t, 5 degrees of freedom) and autocorrelation 0.5, a new recipe for each of 20 streams, "
        f"alarms in {counts['made']:,} parts by number of training parts: {'; '.join(made)}. The goal is at most "
        "one in "
        f"{GOAL_STILL:,}.",
        "",
        "## Each change",
        "AUROC lost is in points at full strength; causes are those that were named, of ten streams.",
        "",
        "| set | change | AUROC lost | alarmed | delay: median, worst | in time | causes | right |",
        "|---|---|---|---|---|---|---|---|",
        *rows(told, (*chosen_on, *checked_on)),
        "",
        "## The ball screw in its own order",
        f"A recipe of rounds 0 to 5 ({screw['trained']} pictures of ten views); then all {screw['parts']} later "
        "pictures "
        "without pitting, as they came over ten days.",
        "",
        *(
            [
                f"- part {one['part']}, round {one['round']}: {one['cause']} (crossed: "
                f"{', '.join(one['crossed'])}), begun "
                f"in round {one['since_round']}"
                for one in screw["alarms"]
            ]
            or ["- no alarm"]
        ),
        "",
        "Mean brightness of each round beside the training, in %: "
        + ", ".join(f"{number}: {value:+.1f}" for number, value in screw["brightness_by_round"].items()),
        "",
        f"**Cost.** Measuring a picture of 384 x 384 px: {told['cost']['measure_ms']:.2f} ms (median, one thread, a "
        f"machine that others use as well); moving all charts on by a part: {told['cost']['chart_ms']:.2f} ms.",
        "",
        f"Took {told['minutes']} minutes on two shared cores, without inspecting the changed pictures.",
    ]
    (HERE / "drift.md").write_text("\n".join(lines) + "\n")
