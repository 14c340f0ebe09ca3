"""The handshake: edges count once, a result stays until it is acknowledged, and a doubtful station is never ready."""

from __future__ import annotations

import math

import pytest

from sightline.core.errors import SinkError
from sightline.core.result import Verdict
from sightline.core.signals import CommandKind, ErrorCode, Status
from sightline.devices.sinks import handshake as module
from sightline.devices.sinks.handshake import Handshake, Inputs, Outputs
from sightline.devices.sinks.registers import read_inputs, read_outputs, write_inputs, write_outputs


@pytest.fixture
def shake():
    handshake = Handshake()
    handshake.take(Inputs())
    handshake.show(Status(ready=True, recipe_id=4))
    return handshake


def test_a_level_that_stays_high_triggers_once(shake):
    for _ in range(3):
        shake.take(Inputs(trigger=True, part_id="7"))
    assert shake.wait(0).part_id == "7" and shake.wait(0) is None
    assert shake.outputs().busy and not shake.outputs().ready


def test_a_trigger_that_is_high_at_connection_counts_for_nothing(shake):
    shake.forget()
    shake.take(Inputs(trigger=True))
    assert shake.wait(0) is None
    shake.take(Inputs())
    shake.take(Inputs(trigger=True))
    assert shake.wait(0).kind is CommandKind.TRIGGER


def test_a_trigger_before_the_acknowledgement_is_an_overrun(shake, signal):
    shake.take(Inputs(trigger=True))
    shake.take(Inputs())
    shake.wait(0)
    shake.present(signal())
    shake.take(Inputs(trigger=True))
    assert shake.wait(0).kind is CommandKind.REFUSED
    assert shake.wait(0) is None and shake.outputs().station_error == ErrorCode.TRIGGER_OVERRUN
    shake.take(Inputs(reset=True, trigger=True))
    assert shake.wait(0).kind is CommandKind.RESET and shake.outputs().error == 0


def test_a_trigger_while_not_ready_is_refused(shake):
    shake.show(Status(ready=False))
    shake.take(Inputs(trigger=True))
    assert shake.wait(0).kind is CommandKind.REFUSED
    assert shake.wait(0) is None and shake.outputs().error == ErrorCode.NOT_READY


def test_results_wait_for_the_acknowledgement_in_order_and_are_bounded(signal):
    shake = Handshake(waiting_max=2)
    shake.take(Inputs())
    for part in "abc":
        shake.present(signal(part))
    with pytest.raises(SinkError, match="acknowledgement"):
        shake.present(signal("d"))
    seen = []
    for _ in range(3):
        seen.append(shake.outputs().part_id)
        shake.take(Inputs(acknowledge=True))
        assert not shake.outputs().valid and not shake.outputs().ready  # the PLC sees each of them come and go
        shake.take(Inputs())
    assert seen == ["a", "b", "c"] and not shake.outputs().valid and shake.outputs().part_id == ""


def test_a_result_that_comes_during_an_acknowledgement_waits_for_its_end(shake, signal):
    shake.present(signal("a"))
    shake.take(Inputs(acknowledge=True))
    shake.present(signal("b"))
    assert not shake.outputs().valid
    shake.take(Inputs())
    assert shake.outputs().valid and shake.outputs().part_id == "b"


def test_a_missing_acknowledgement_becomes_an_error(signal):
    shake = Handshake(acknowledge_ms=1e-6)
    shake.take(Inputs())
    shake.present(signal())
    assert shake.outputs().station_error == ErrorCode.NO_ACKNOWLEDGE and shake.outputs().error == 0
    shake.take(Inputs(acknowledge=True))
    assert shake.outputs().error == 0 and shake.outputs().station_error == 0


def test_without_acknowledgement_the_newest_result_is_shown(signal):
    shake = Handshake(acknowledge=False)
    shake.take(Inputs())
    shake.show(Status(ready=True))
    for part in "ab":
        shake.present(signal(part))
    assert (shake.outputs().part_id, shake.outputs().number, shake.outputs().ready) == ("b", 2, True)


def test_pilot_mode_shows_no_verdict_and_says_so(shake, signal):
    shake.show(Status(ready=True, pilot=True))
    shake.present(signal(verdict=Verdict.OK))
    outputs = shake.outputs()
    assert outputs.valid and outputs.pilot and outputs.verdict == 0


def test_a_station_that_hangs_loses_heartbeat_and_ready(shake, monkeypatch):
    now = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 1.0)
    first = shake.outputs()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 3.0)
    later = shake.outputs()
    assert first.ready and not later.ready and later.heartbeat == first.heartbeat


def test_the_error_of_a_part_goes_with_its_result(shake, signal):
    shake.present(signal(verdict=Verdict.NG, valid=False, error=ErrorCode.CAMERA_LOST, score=None))
    outputs = shake.outputs()
    assert (outputs.verdict, outputs.error, outputs.inspected) == (2, ErrorCode.CAMERA_LOST, False)
    shake.take(Inputs(acknowledge=True))
    assert shake.outputs().error == 0


def test_words_and_values_are_each_others_inverse():
    inputs = Inputs(trigger=True, reset=True, heartbeat=9, recipe_id=65535, part_id="A-17")
    assert read_inputs(write_inputs(inputs)) == inputs
    outputs = Outputs(busy=True, valid=True, verdict=2, error=3, number=70_000, score=-2.5, duration_ms=70_001)
    assert read_outputs(write_outputs(outputs)) == outputs


def test_a_part_may_be_a_number_and_text_is_kept_harmless():
    words = write_inputs(Inputs())
    words[4:6] = [1, 2]
    assert read_inputs(words).part_id == "65538"
    words[6:8] = [0x41FF, 0x0A42]
    assert read_inputs(words).part_id == "A??B"
    assert read_outputs(write_outputs(Outputs(part_id="é" * 40))).part_id == "?" * 32


@pytest.mark.parametrize("score", [math.nan, math.inf, 1e300])
def test_a_score_that_is_no_number_is_the_largest(score):
    assert read_outputs(write_outputs(Outputs(score=score))).score == pytest.approx(3.4e38)


def test_without_acknowledgement_a_trigger_takes_the_result_before_away(signal):
    """A PLC that looks at `valid` alone must not take the OK of the part before for that of the next one."""
    shake = Handshake(acknowledge=False)
    shake.show(Status(ready=True))
    shake.take(Inputs())
    shake.take(Inputs(trigger=True, part_id="1"))
    assert shake.wait(10) is not None
    shake.present(signal("1", verdict=Verdict.OK))
    assert shake.outputs().valid
    shake.take(Inputs(part_id="2"))
    shake.take(Inputs(trigger=True, part_id="2"))
    said = shake.outputs()
    assert said.busy and not said.valid and not said.inspected and said.verdict == 0 and said.part_id == ""


def test_a_trigger_carries_the_recipe_that_the_plc_means(shake):
    shake.take(Inputs(trigger=True, recipe_id=5))
    assert shake.wait(0).recipe == "5"
    other = Handshake()
    other.take(Inputs())
    other.show(Status(ready=True))
    other.take(Inputs(trigger=True))
    assert other.wait(0).recipe == ""


def test_a_trigger_that_is_refused_is_told_at_once(shake, signal):
    shake.take(Inputs(trigger=True, part_id="1"))
    assert shake.wait(0).kind is CommandKind.TRIGGER
    shake.take(Inputs())
    shake.take(Inputs(trigger=True, part_id="2"))
    second = shake.wait(0)
    assert second.kind is CommandKind.REFUSED and second.part_id == "2"
    shake.present(signal("1"))
    shake.take(Inputs(acknowledge=True))
    shake.take(Inputs())
    shake.take(Inputs(trigger=True, part_id="3"))
    third = shake.wait(0)
    assert (third.kind, third.part_id) == (CommandKind.TRIGGER, "3") and second.monotonic_s <= third.monotonic_s


def test_after_a_lost_link_an_acknowledgement_or_a_reset_clears_the_result(shake, signal):
    for clearing in (Inputs(acknowledge=True), Inputs(reset=True)):
        shake.take(Inputs(trigger=True))
        shake.present(signal())
        shake.forget()  # the link was lost, and the PLC begins anew
        shake.take(Inputs())
        assert shake.outputs().valid and not shake.outputs().ready
        shake.take(clearing)
        shake.take(Inputs())
        assert not shake.outputs().valid and shake.outputs().ready and not shake.outputs().error


def test_the_error_of_the_part_is_not_hidden_by_the_stations(shake, signal):
    shake.take(Inputs(trigger=True, part_id="1"))
    shake.take(Inputs())
    shake.take(Inputs(trigger=True, part_id="2"))  # an overrun, while the camera of part 1 fails
    shake.show(Status(busy=True, error=ErrorCode.BLOCKED))
    assert shake.outputs().error == ErrorCode.BLOCKED
    shake.present(signal("1", valid=False, error=ErrorCode.CAMERA_TIMEOUT))
    said = read_outputs(write_outputs(shake.outputs()))
    assert (said.part_id, said.error, said.station_error) == ("1", ErrorCode.CAMERA_TIMEOUT, ErrorCode.BLOCKED)
    assert write_outputs(shake.outputs())[0] & 1 << 6
    shake.show(Status(ready=True))
    assert (
        shake.outputs().station_error == ErrorCode.TRIGGER_OVERRUN and shake.outputs().error == ErrorCode.CAMERA_TIMEOUT
    )


def test_busy_goes_when_valid_comes(shake, signal):
    shake.take(Inputs(trigger=True))
    shake.show(Status(busy=True))
    assert shake.outputs().busy and not shake.outputs().valid
    shake.present(signal())  # before the station has said that it is no longer busy
    assert shake.outputs().valid and not shake.outputs().busy


def test_the_plc_learns_type_place_and_area_of_the_worst_defect_and_in_pilot_mode_nothing(shake, signal):
    place = {"type": "crack", "score": 3.0, "box": [70, 12, 9, 7], "area_px": 70_000.4, "view": "top", "view_number": 2}
    shake.present(signal(defects=(place, place | {"type": "dent", "score": 1.0})))
    said = read_outputs(write_outputs(shake.outputs()))
    assert (said.defects, said.defect_view, said.defect_box) == (2, 2, (70, 12, 9, 7))
    assert (said.defect_area_px, said.defect_type) == (70_000, "crack")
    shake.show(Status(pilot=True))
    assert shake.outputs().defects == 0 and shake.outputs().defect_type == ""


def test_a_trigger_that_was_reset_before_it_was_fetched_is_gone_and_its_picture_is_skipped(shake):
    shake.take(Inputs(trigger=True, part_id="A"))
    shake.take(Inputs(reset=True))
    shake.take(Inputs())
    shake.take(Inputs(trigger=True, part_id="B"))
    kinds = [(command.kind, command.part_id) for command in (shake.wait(0), shake.wait(0), shake.wait(0))]
    assert kinds == [(CommandKind.REFUSED, "A"), (CommandKind.RESET, ""), (CommandKind.TRIGGER, "B")]
    assert shake.wait(0) is None


def test_the_result_of_a_trigger_that_was_reset_is_not_shown_to_the_next_part(shake, signal):
    shake.take(Inputs(trigger=True, part_id="A"))
    first = shake.wait(0)
    shake.take(Inputs(reset=True))
    shake.take(Inputs())
    shake.take(Inputs(trigger=True, part_id="B"))
    second = [shake.wait(0), shake.wait(0)][1]
    with pytest.raises(SinkError, match="reset its trigger"):  # so that nobody records an OK that nobody got
        shake.present(signal("A", verdict=Verdict.OK, triggered=first.at))
    assert not shake.outputs().valid and shake.outputs().busy
    shake.present(signal("B", verdict=Verdict.NG, triggered=second.at))
    assert shake.outputs().valid and shake.outputs().part_id == "B"
