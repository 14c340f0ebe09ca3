"""The files of `deploy/`: what they name exists, and their commands run as written, over a real PostgreSQL."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from sightline.cli import app
from sightline.store.store import Store

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
STATE = "/var/lib/sightline"
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def instructions(name: str) -> list[str]:
    """The instructions of the container's file with the rest of theirs, continued lines joined, without comments."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Containerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def unit() -> dict[str, list[str]]:
    """The settings of the service, each with all of its values."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "sightline.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def words_of_the_unit() -> list[str]:
    words = shlex.split(unit()["ExecStart"][0])
    assert words[0] == "/opt/sightline/bin/sightline"
    return words[1:]


def environment_of_the_unit() -> dict[str, str]:
    return dict(pair.split("=", 1) for line in unit()["Environment"] for pair in line.split())


COMMANDS = {
    "unit": words_of_the_unit,
    "server": lambda: compose()["services"]["server"]["command"],
    "worker": lambda: compose()["services"]["worker"]["command"],
    "image": lambda: yaml.safe_load(instructions("CMD")[0]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_and_options_are_those_of_the_program(name: str) -> None:
    command, *words = COMMANDS[name]()
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert command in ("serve", "worker")
    commands[command].make_context(command, list(words))  # fails at an option that is none


def test_the_image_is_made_of_what_is_there() -> None:
    own = [line for line in instructions("COPY") if not line.startswith("--from=build")]
    assert own and all((ROOT / source).exists() for line in own for source in line.split()[:-1])
    asked = [build["args"]["EXTRAS"] for one in compose()["services"].values() if (build := one.get("build"))]
    asked += [line.partition("=")[2] for line in instructions("ARG") if line.startswith("EXTRAS=")]
    assert len(asked) == 3
    assert {extra for line in asked for extra in line.split(",")} <= set(EXTRAS)
    assert instructions("USER") == ["sightline"] and instructions("VOLUME") == [STATE]


def test_services_name_only_what_the_file_defines() -> None:
    file = compose()
    assert set(file["services"]) == {"server", "worker", "database"}
    for one in file["services"].values():
        assert set(one["secrets"]) <= set(file["secrets"])
        assert {place.split(":")[0] for place in one["volumes"]} <= set(file["volumes"])
        assert set(one.get("depends_on", ())) <= set(file["services"])
        for told in one["environment"].values():
            secret = re.fullmatch(r"/run/secrets/(\w+)", told)
            assert secret is None or secret[1] in one["secrets"]
        if "build" in one:
            build = one["build"]
            assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
            assert one["read_only"] and one["cap_drop"] == ["ALL"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze. Install the package systemd")
def test_the_unit_is_one_for_systemd(tmp_path: Path) -> None:
    """As systemd reads it, with a program that is there; a word it does not know is told on stderr."""
    text = (DEPLOY / "sightline.service").read_text()
    file = tmp_path / "sightline.service"
    file.write_text(text.replace("/opt/sightline/bin/sightline", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


class Run:
    """Commands of `deploy/` on this machine: its folders and port are the test's, everything else is as written."""

    def __init__(self, folder: Path, port: int, certificate: tuple[Path, Path]) -> None:
        self.folder, self.port = folder, port
        for name, file in zip(("certificate", "private_key"), certificate, strict=True):
            shutil.copy(file, folder / name)

    def words(self, command: list[str]) -> list[str]:
        return [self.here(word) for word in command]

    def here(self, word: str) -> str:
        word = re.sub(r"\$\{SIGHTLINE_NAME[^}]*\}", "inspection.example.com", word)
        word = re.sub(r"--port=8000|8443", lambda found: found[0].replace(found[0][-4:], str(self.port)), word)
        for place in ("/run/secrets", "%d", "%S/sightline", "%C/sightline", STATE):
            word = word.replace(place, str(self.folder))
        return word.replace(":8000", f":{self.port}")

    @contextmanager
    def started(self, command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
        words = [sys.executable, "-m", "sightline", *self.words(command)]
        with (self.folder / "said").open("a") as said:
            told = {name: self.here(value) for name, value in environment.items()}
            process = subprocess.Popen(words, env=os.environ | told, stderr=said, text=True, cwd=self.folder)
        try:
            yield process
        finally:
            process.terminate()
            try:
                assert process.wait(30) == 0
            finally:
                process.kill()
                process.wait()

    def is_healthy(self, environment: dict[str, str]) -> None:
        """Ask as the image's HEALTHCHECK does, until it says yes."""
        check = yaml.safe_load(instructions("HEALTHCHECK")[0].partition(" CMD ")[2])
        assert check[0] == "python"
        told = os.environ | {"SIGHTLINE_HEALTH": self.here(environment["SIGHTLINE_HEALTH"])}
        until = time.monotonic() + 40
        ask = [sys.executable, *check[1:]]
        while (done := subprocess.run(ask, env=told, capture_output=True, check=False)).returncode:
            assert time.monotonic() < until, done.stderr.decode() + (self.folder / "said").read_text()
            time.sleep(0.2)


@pytest.fixture
def here(tmp_path: Path, free_port: Callable[[], int], certificate: tuple[Path, Path]) -> Run:
    return Run(tmp_path, free_port(), certificate)


def test_server_and_worker_of_compose_run_over_postgresql(here: Run, postgresql: Callable[[str], str]) -> None:
    address = postgresql("empty")
    services = compose()["services"]
    server, worker = services["server"], services["worker"]
    (here.folder / "database_password").write_text("any: the test's server trusts everybody\n")
    own = dict(line.split("=", 1) for line in shlex.split(instructions("ENV")[0]) if "SIGHTLINE" in line)
    told = {**own, **server["environment"], "SIGHTLINE_DB": address}
    with here.started(server["command"], told):
        here.is_healthy(told)
        taking = here.started(worker["command"], {**own, **worker["environment"], "SIGHTLINE_DB": address})
        with taking, Store.open(address, here.folder / "images") as store:
            job = store.jobs.add("train", {}, "ann")  # one that says nothing of what it needs: it fails at once
            until = time.monotonic() + 40
            while store.jobs.get(job.id).state in ("queued", "running"):
                assert time.monotonic() < until, "nobody has taken the job"
                time.sleep(0.2)
            assert store.jobs.get(job.id).state == "failed"


def test_the_service_runs_with_its_worker(here: Run) -> None:
    told = environment_of_the_unit()
    with here.started(words_of_the_unit(), told) as process:
        here.is_healthy({"SIGHTLINE_HEALTH": "https://127.0.0.1:8443/api/v1/health"})
        assert (here.folder / "sightline.db").is_file()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        threads = Path(f"/proc/{process.pid}/task").glob("*/children")
        assert children.exists() and "".join(one.read_text() for one in threads), "no worker was started"
