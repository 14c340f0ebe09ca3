"""The warning about data, apart from the dataset, so that layouts can give it, too."""

from __future__ import annotations


class DatasetWarning(UserWarning):
    """Something in a dataset that a person should look at; the work goes on."""
