"""From a dataset to the settings that cost least, and the recipe made with them."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna

from sightline.core.errors import InputError, SettingError, warn_caller
from sightline.core.progress import Progress, unwatched
from sightline.core.sample import Sample
from sightline.data.dataset import Dataset
from sightline.evaluate.prices import Prices
from sightline.runtime.cluster import LOCAL, Cluster
from sightline.runtime.recipe import Recipe
from sightline.train.search.folds import Bench, make_bench
from sightline.train.search.loop import Job, fold_seconds, records, work, work_together
from sightline.train.search.result import SearchResult, SearchTrial
from sightline.train.search.selection import choose, importances, pareto_front
from sightline.train.search.space import offer_space
from sightline.train.search.study import identity, offer_first, open_study, quietly, sweep
from sightline.train.search.thresholds import price_thresholds
from sightline.train.settings import TrainSettings
from sightline.train.training import train

BACKBONES = ("lite0", "lite1", "lite2")
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
MAX_PROCESSES = 64


class SearchWarning(UserWarning):
    """Something about a search that a person should know; the search goes on."""


@dataclass(frozen=True)
class _Found:
    """What is known when the trials have ended."""

    trials: tuple[SearchTrial, ...]
    chosen: SearchTrial | None
    why: str
    settings: TrainSettings
    importances: dict[str, dict[str, float]]
    ended: str


def search(
    samples: Iterable[Sample],
    *,
    trials: int = 20,
    budget: str | None = None,
    study: str | Path | None = None,
    folds: int = 3,
    processes: int = 1,
    on: str = LOCAL,
    backbones: Sequence[str] = BACKBONES,
    defect_rate: float = 0.01,
    escape_price: float = 50.0,
    overkill_price: float = 2.0,
    review_price: float | None = None,
    progress: Progress | bool | None = None,
    **fixed: object,
) -> SearchResult:
    """Find the training settings whose errors cost least, and the fastest of those; train the recipe with them.

    Trials are judged by cross-validation over the training part, groups, lots and near-duplicates together; test
    samples are never read. The first has the default settings. `trials` is how many the study shall have in all,
    `budget` ("90s", "10m", "2h") ends them earlier, between two folds; the last training comes after it. `study` is a
    SQLite file with which the same call goes on. `fixed` are settings that are not searched. Prices are in any money,
    and set the recipe's thresholds, too (one, where a review has no price).
    `on` says where: `processes` of this machine, or a Ray cluster as in `runtime.cluster.Cluster`.
    With `processes` over 1 a script needs the usual `if __name__ == "__main__"`. Ctrl-C ends the trials.
    `progress` is as in `training.train`.

    Raises InputError for too little to learn from, for the study of something else, or where every trial failed.
    """
    start = time.time()
    prices = Prices(defect_rate, escape_price, overkill_price, review_price)
    deadline = start + parse_budget(budget)
    # What is wrong shall be said before any image is read.
    if trials < 1 or not 1 <= processes <= MAX_PROCESSES:
        raise SettingError(
            f"{trials} trials in {processes} processes: give 1 or more, and at most {MAX_PROCESSES} processes"
        )
    settings = TrainSettings.parse(dict(offer_space(fixed, backbones, 1.0).fixed))
    cluster = Cluster(on, processes, settings.threads, ahead=1)  # a trial that is taken later knows more
    bench = make_bench(samples, folds, settings.seed, settings.roi[2] * settings.roi[3])
    space = offer_space(fixed, backbones, bench.side_px, bench.labelled)
    report: Progress = progress if callable(progress) else unwatched
    with quietly():
        path = None if study is None else Path(study)
        job = Job(path, bench, space, prices, trials, deadline, settings.seed)
        found = _hunt(job, cluster, report)
    whole = Dataset(bench.name, bench.samples, "search", given_split=False)
    recipe = train(whole, found.settings, progress=report)
    cost = None if found.chosen is None else found.chosen.cost
    recipe = price_thresholds(recipe, cost, prices, bench.synthetic)
    return _result(job, found, recipe, cluster, time.time() - start)


def parse_budget(budget: str | None) -> float:
    """Seconds of "90s", "10m" or "2h"; infinite for None. Raises SettingError."""
    if budget is None:
        return math.inf
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*", budget)
    if match is None or float(match[1]) == 0:
        raise SettingError(
            f"budget '{budget}' is not a time. Give a number with s, m or h, for instance 90s, 10m or 2h"
        )
    return float(match[1]) * UNITS_S[match[2]]


def _hunt(job: Job, cluster: Cluster, progress: Progress) -> _Found:
    study = open_study(job.path, identity(job.bench, job.space, job.prices))
    sweep(study)
    offer_first(study, job.space)
    try:
        if cluster.on == LOCAL and cluster.processes == 1:
            complete = work(study, job, progress, lambda: False)
        else:
            complete = work_together(study, job, cluster, progress)
        ended = "trials" if complete else "budget"
    except KeyboardInterrupt:
        ended = "interrupted"
        if not any(trial.state == "finished" for trial in records(study, job)):
            raise
    sweep(study)
    return _judge(study, job, ended)


def _judge(study: optuna.Study, job: Job, ended: str) -> _Found:
    trials = records(study, job)
    if any(trial.state == "finished" for trial in trials):
        chosen, why = choose(trials, job.bench, job.prices)
        shares = importances(study, job.seed)
        return _Found(trials, chosen, why, job.space.settings(chosen.params), shares, ended)
    failed = [trial for trial in trials if trial.state == "failed"]
    if failed and ended == "trials":
        raise InputError(
            f"all {len(failed)} trials failed, so there is nothing to choose from. The first: {failed[0].reason} "
            "Correct that, and name a new study file if you gave one"
        )
    why = f"The budget was spent before one trial was finished, so the default settings stand. {_advice(study, job)}"
    warn_caller(why, SearchWarning)
    return _Found(trials, None, why, job.space.settings(job.space.default()), {}, ended)


def _advice(study: optuna.Study, job: Job) -> str:
    each = fold_seconds(study)
    if each is None:
        return f"Not even one of the {job.bench.count} folds was; give a larger budget"
    needed = each * job.bench.count
    return f"One trial takes about {math.ceil(needed)} s here; give a budget of {math.ceil(10 * needed / 60)}m for ten"


def _result(job: Job, found: _Found, recipe: Recipe, cluster: Cluster, seconds: float) -> SearchResult:
    bench = job.bench
    good = sum(not sample.defective for sample in bench.samples)
    fixed = TrainSettings.parse(dict(job.space.fixed)).model_dump(include=set(job.space.fixed))
    return SearchResult(
        product=recipe.card.product,
        trials=found.trials,
        front=pareto_front(found.trials),
        chosen=found.chosen,
        settings=found.settings,
        why=found.why,
        recipe=recipe,
        prices=job.prices,
        good=good,
        defective=sum(picture.defective for picture in bench.judged),
        units=len(set(bench.units)),
        folds=bench.count,
        processes=cluster.processes,
        synthetic=bench.synthetic,
        searched=job.space.describe(),
        fixed=fixed,
        importances=found.importances,
        notes=tuple(_notes(bench, found, cluster, recipe)),
        seconds=seconds,
        ended=found.ended,
    )


def _notes(bench: Bench, found: _Found, cluster: Cluster, recipe: Recipe) -> Iterator[str]:
    """What a person must know about the figures."""
    if bench.synthetic:
        yield (
            "No defective part is labelled in the training part. Synthetic defects stood in: they rank settings, and "
            "say nothing about how many real defects escape. Label real defects, and search again"
        )
    if found.trials:
        yield (
            "Thresholds and settings were chosen on these figures, so they are better than what a line will see. "
            "Measure the recipe on its test part: sightline evaluate"
        )
    if recipe.card.recognition is not None and recipe.card.recognition.band is not None:
        yield (
            "Known types decide beside the score, so the costs compare settings, and are not those of the recipe's own "
            "thresholds, which rest on the training. Without a review price, parts that would be in REVIEW are NG"
        )
    if cluster.on != LOCAL or cluster.processes > 1:
        who = "a cluster's processes" if cluster.on != LOCAL else f"{cluster.processes} processes"
        yield f"Times were taken while {who} shared the computer: compare them, do not promise them"
    if found.ended != "trials":
        ended = "was interrupted" if found.ended == "interrupted" else "ended with its budget"
        yield f"The search {ended} after {len(found.trials)} trials. The same command with its study file goes on"
