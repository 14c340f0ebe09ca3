"""A station's settings: slips are named with file and field before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.cli import text_line
from sightline.core.errors import SettingError
from sightline.line.settings import read_station

GOOD = """
name = "press-3"
[[views]]
name = "top"
camera = { kind = "folder", path = "in" }
[[recipes]]
name = "cap"
id = 1
file = "cap.onnx"
[controller]
kind = "modbus"
port = 5020
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "station.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_count_from_the_files_folder(tmp_path: Path) -> None:
    settings = read_station(write(tmp_path, GOOD))
    assert settings.recipes[0].of("top") == tmp_path / "cap.onnx"
    assert settings.folder == tmp_path / "sightline-station"
    assert settings.views[0].camera["path"] == str(tmp_path / "in")
    assert settings.deadline_ms == 100 and settings.mode == "production" and settings.health.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "press-3"', 'name = "press 3"', "name"),
        ('name = "press-3"', 'name = "press-3"\nspeed = 3', "speed"),
        ("id = 1", "id = 70000", r"recipes\.0\.id"),
        ('file = "cap.onnx"', "", "give either file"),
        ('file = "cap.onnx"', 'files = { side = "a.onnx" }', "no file for view top"),
        ("port = 5020", 'port = 5020\n[combine]\nrule = "k_of_n"\nk = 2', "1 views"),
        ('name = "press-3"', 'name = "press-3"\ndeadline_ms = 5\nmargin_ms = 9', "shorter than deadline_ms"),
        ("[controller]", '[[views]]\nname = "top"\ncamera = { kind = "fake" }\n[controller]', "occurs twice"),
        ('name = "press-3"', "name = ", "not valid TOML"),
        ('kind = "folder", path = "in"', 'kind = "folder"', "camera top: path"),
        ('kind = "folder", path = "in"', 'kind = "eye"', "no camera is of kind 'eye'"),
        ("port = 5020", 'port = 5020\n[[sinks]]\nkind = "pigeon"', "no sink is of kind 'pigeon'"),
    ],
)
def test_a_slip_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(SettingError, match=told) as raised:
        read_station(write(tmp_path, GOOD.replace(old, new, 1)))
    assert "station.toml" in str(raised.value) or "camera" in str(raised.value) or "sink" in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        read_station(tmp_path / "none.toml")


def test_values_are_not_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as raised:
        read_station(write(tmp_path, GOOD.replace("id = 1", 'id = "s3cret"')))
    assert "s3cret" not in str(raised.value)


def test_the_station_of_the_docs_is_valid(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/run-a-line.md").read_text(encoding="utf-8")
    settings = read_station(write(tmp_path, text.split("```toml\n")[1].split("```")[0]))
    assert settings.mode == "pilot" and settings.recipes[1].name == "lid"
    assert settings.keep.names("L12-0042") == {"serial": "0042", "lot": "L12"}
    assert [part.verdict for part in settings.interlock.parts] == ["OK", "NG"]


def test_what_calls_a_recipe_calls_one_only(tmp_path: Path) -> None:
    """A PLC that asks for number 2 must not get the recipe whose name, or whose code, is "2"."""
    more = '[[recipes]]\nname = "{}"\nid = 2\nfile = "lid.onnx"\nbarcodes = [{}]\n[controller]'
    for name, codes in (("1", ""), ("lid", '"1"'), ("lid", '"cap"')):
        with pytest.raises(SettingError, match="occurs twice"):
            read_station(write(tmp_path, GOOD.replace("[controller]", more.format(name, codes), 1)))
    again = GOOD.replace("id = 1", 'id = 1\nbarcodes = ["cap", "1"]')
    assert read_station(write(tmp_path, again)).recipes[0].barcodes == ("cap", "1")  # its own


def test_no_recipe_is_called_as_anothers_shadow(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="shadow"):
        read_station(write(tmp_path, GOOD.replace('name = "cap"', 'name = "cap (shadow)"', 1)))


def test_every_path_counts_from_the_files_folder(tmp_path: Path) -> None:
    text = GOOD.replace('name = "press-3"', 'name = "press-3"\ndatabase = "line.db"\nimages = "pictures"', 1)
    text += '[health]\ntoken = { file = "token" }\n[[sinks]]\nkind = "mqtt"\nhost = "broker"\nuser = "u"\ntls = {}\n'
    text += 'password = { file = "pw" }\n'
    settings = read_station(write(tmp_path, text))
    assert settings.database == str(tmp_path / "line.db") and settings.images == str(tmp_path / "pictures")
    assert settings.health.token is not None and settings.health.token.file == tmp_path / "token"
    assert settings.sinks[0]["password"] == {"file": str(tmp_path / "pw")}
    remote = GOOD.replace('name = "press-3"', 'name = "press-3"\ndatabase = "postgresql://a@b/c"\nimages = "s3://x"', 1)
    kept = read_station(write(tmp_path, remote))
    assert (kept.database, kept.images) == ("postgresql://a@b/c", "s3://x")


def test_a_password_in_the_databases_address_is_not_shown(tmp_path: Path) -> None:
    text = GOOD.replace('name = "press-3"', 'name = "press-3"\ndatabase = "postgresql://a:s3cret@b/c"', 1)
    settings = read_station(write(tmp_path, text))
    assert "s3cret" not in text_line.station_json(settings) and "://a:***@b/c" in text_line.station_json(settings)
    assert settings.database == "postgresql://a:s3cret@b/c"


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ('{ part_id = "g", verdict = "OK" }, { part_id = "g", verdict = "NG" }', "occurs twice"),
        ('{ part_id = "g", verdict = "OK", recipe = "nobody" }', "there is no recipe called"),
    ],
)
def test_check_parts_are_known_and_of_a_recipe(tmp_path: Path, parts: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        read_station(write(tmp_path, GOOD + f"[interlock]\nparts = [{parts}]\n"))
