"""What the tests of devices share: free ports, waiting with a bound, and what is to be done without a component."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import time
from collections.abc import Callable

import pytest


def need(component: str, here: bool) -> None:
    """Skip the test where `component` is missing; in CI that is a failure."""
    if here:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{component} is missing, and in CI nothing may be")
    pytest.skip(f"{component} is not installed here")


@pytest.fixture(scope="session")
def need_package() -> Callable[[str], None]:
    """Need a Python package."""
    return lambda name: need(f"the package {name}", importlib.util.find_spec(name) is not None)


@pytest.fixture(scope="session")
def need_program() -> Callable[[str], str]:
    """Need a program; gives its path."""

    def program(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        need(f"the program {name}", path is not None)
        assert path is not None
        return path

    return program


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A TCP port on loopback that nobody listens on."""

    def port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return port


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Wait until something is true; fail after `seconds`."""

    def wait(true: Callable[[], object], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it did not become true in time"
            time.sleep(0.01)

    return wait
