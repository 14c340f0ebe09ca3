"""Which settings matter: the share of a figure's spread over the finished trials that each explains.

Source: F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML
2014 (functional analysis of variance).
"""

from __future__ import annotations

import numpy as np
import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

FEWEST = 10  # finished trials: of fewer, a forest makes stories out of noise
OBJECTIVES = ("cost", "ms")


def importances(study: optuna.Study, seed: int) -> dict[str, dict[str, float]]:
    """For "cost" and "ms": setting -> share, the largest first. Without an entry where nothing can be said."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(finished) < FEWEST:
        return {}
    found = {}
    for index, name in enumerate(OBJECTIVES):

        def value(trial: FrozenTrial, at: int = index) -> float:
            return float(trial.values[at])

        values = np.array([value(trial) for trial in finished])
        if np.ptp(values) <= 1e-9 * max(1.0, float(np.abs(values).max())):
            continue  # all alike: nothing to explain
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed), target=value)
        found[name] = {setting: float(share) for setting, share in shares.items()}
    return found
