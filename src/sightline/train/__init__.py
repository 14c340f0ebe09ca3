"""Making recipes: features, bank, calibration, export. Needs the extra [train]. Callable: see `training.train`."""

from sightline.core.door import open_door

open_door(__name__, "sightline.train.training", "train", stage="")
