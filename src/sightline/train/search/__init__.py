"""Searching for the settings that cost least. Callable: see `searching.search`. Needs the extra [train]."""

from sightline.core.door import open_door

open_door(__name__, "sightline.train.search.searching", "search", stage="")
