"""The board that is written prints true to scale, and its own picture measures what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as Pillow
from typer.testing import CliRunner

from sightline.cli import app


def test_the_written_board_knows_its_size_and_measures_right(tmp_path: Path) -> None:
    board = tmp_path / "board.png"
    written = CliRunner().invoke(app, ["calibrate", str(board), "--board", "--squares", "8x6", "--square-mm", "10"])
    assert written.exit_code == 0 and "100 x 80 mm" in written.output.replace("\n", " ")
    picture = Pillow.open(board)
    picture.load()
    assert picture.width / picture.info["dpi"][0] * 25.4 == pytest.approx(100, rel=1e-4)
    measured = CliRunner().invoke(app, ["calibrate", str(board), "--json"])
    assert f'"mm_per_px": {round(100 / picture.width, 6)}' in measured.output


def test_a_board_in_another_format_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["calibrate", str(tmp_path / "board.jpg"), "--board"])
    assert result.exit_code != 0 and not (tmp_path / "board.jpg").exists()
