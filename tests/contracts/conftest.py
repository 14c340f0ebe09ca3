"""What the contract tests share: a component that is missing is a skip with its reason, and in CI a failure."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def need_package() -> Callable[[str], None]:
    """Need a Python package."""

    def need(name: str) -> None:
        if importlib.util.find_spec(name) is None:
            assert os.environ.get("CI") != "true", f"the package {name} is missing, and in CI nothing may be"
            pytest.skip(f"the package {name} is not installed here")

    return need
