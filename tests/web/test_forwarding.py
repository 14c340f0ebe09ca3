"""A station that forwards to a real server: nothing is lost or doubled, whatever happens between the two."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.sending import box, join, part, settings_of, until
from tests.web.conftest import Serve, self_signed

from sightline import __version__
from sightline.core.errors import ConflictError, StoreError
from sightline.line import forwarding
from sightline.operations import fleet
from sightline.store.inspections import Filter
from sightline.store.store import Store


def keys(store: Store) -> list[str]:
    """Of all inspections there, in the order in which they were kept."""
    return [str(one.key) for one in store.inspections.recorded_after(0, 10_000)]


def test_records_arrive_once_in_order_over_a_break_and_a_restart_of_both(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    settings = settings_of(tmp_path / "desk", served.url, join(served.store))
    with box(settings) as one:
        one.record(range(700), verdict="REVIEW")
        one.journal.append({"kind": "event", "event": "changeover", "text": "to plates", "time": 1.0})
        one.journal.append({"kind": "correction", "key": "desk-5", "verdict": "NG", "error": "20: late"})
        one.forwarder.send_some()
        assert 0 < one.forwarder.waiting < 702
    with box(settings) as one:  # it was off before the rest was sent
        one.record(range(700, 720))
        one.forwarder.start()
        until(lambda: one.forwarder.waiting == 0)
        until(lambda: one.journal.waiting == 0)
        assert one.forwarder.fault == ""
    assert keys(served.store) == [f"desk-{number}" for number in range(720)]
    with Store.open(settings.folder / "sightline.db") as own:
        assert keys(own) == keys(served.store)
    late = served.store.inspections.page(Filter(late=True))
    assert [(one.key, one.verdict) for one in late] == [("desk-5", "NG")]
    assert [one.details["text"] for one in served.store.audit.page() if one.action == "changeover"] == ["to plates"]
    (sender,) = served.store.senders.all()
    assert (sender.station, sender.missing, sender.waiting, sender.version) == ("desk", 0, 0, __version__)


def test_what_was_taken_before_the_answer_was_lost_is_not_taken_twice(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    with box(settings_of(tmp_path / "desk", served.url, join(served.store))) as one:
        one.record(range(10))
        one.journal.append({"kind": "event", "event": "reset", "text": "x", "time": 1.0})
        forwarded, one.journal.forwarded = one.journal.forwarded, lambda number: None  # type: ignore[method-assign]
        one.forwarder.send_some()
        one.journal.forwarded = forwarded  # type: ignore[method-assign]
        one.record(range(10, 12))
        one.forwarder.send_some()
    assert len(keys(served.store)) == 12
    assert [row.action for row in served.store.audit.page()].count("reset") == 1


def test_a_journal_that_a_power_cut_has_shortened_gives_numbers_again_and_loses_nothing(
    serve: Serve, tmp_path: Path
) -> None:
    served = serve()
    settings = settings_of(tmp_path / "desk", served.url, join(served.store))
    with box(settings) as one:
        one.record(range(10))
        one.forwarder.send_some()
        until(lambda: one.journal.waiting == 0)
        one.journal._file.execute("UPDATE sqlite_sequence SET seq = 5 WHERE name = 'entries'")
        one.journal._file.execute("UPDATE cursors SET id = 5")
    with box(settings) as one:
        one.record(range(10, 30))
        one.forwarder.send_some()
    assert keys(served.store) == [f"desk-{number}" for number in range(30)]


def test_more_than_may_wait_drops_the_oldest_at_the_site_only_and_the_site_knows(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    settings = settings_of(tmp_path / "desk", served.url, join(served.store), most_mb=1)
    with box(settings) as one:
        one.record(range(1))
        one.forwarder.send_some()
        one.record(range(1, 2000))
        assert one.journal.flush(20)
        until(lambda: one.journal.dropped > 0)
        assert (settings.folder / "journal.db").stat().st_size < 8e6
        while one.forwarder.send_some() or one.forwarder.waiting:
            pass
    found = keys(served.store)
    (sender,) = served.store.senders.all()
    assert sender.missing == 2000 - len(found) > 200
    assert found[1:] == [f"desk-{number}" for number in range(2000 - len(found) + 1, 2000)]
    with Store.open(settings.folder / "sightline.db") as own:
        assert len(keys(own)) == 2000


def test_a_station_by_another_computer_is_refused_until_somebody_says_that_it_replaces_it(
    serve: Serve, tmp_path: Path
) -> None:
    served = serve()
    token = join(served.store)
    with box(settings_of(tmp_path / "a", served.url, token)) as first:
        first.record(range(3))
        first.forwarder.send_some()
    with box(settings_of(tmp_path / "b", served.url, token)) as second:
        second.record(range(100, 102))
        with pytest.raises(ConflictError, match=r"another computer .* sends as station desk.*fleet replace desk"):
            second.forwarder.send_some()
        assert len(keys(served.store)) == 3
        assert served.store.senders.all()[0].other["instance"] == second.forwarder._instance
        served.store.senders.replace("desk", "eva", "new computer")
        second.forwarder.send_some()
    assert len(keys(served.store)) == 5


def test_a_token_is_for_one_station_and_for_sending_alone(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    token = join(served.store)
    with box(settings_of(tmp_path / "saw", served.url, token, "saw")) as one:
        one.record(range(1))
        with pytest.raises(StoreError, match=r"does not accept the station's token.*this token is for station desk"):
            one.forwarder.send_some()
    answer = httpx.get(f"{served.url}/api/v1/inspections", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    with served.client("engineer") as client:
        other = client.post("/stations/saw/tokens", {}, once=False)["token"]
    with served.client("reviewer") as client, pytest.raises(Exception, match="engineer"):
        client.post("/stations/saw/tokens", {}, once=False)
    with box(settings_of(tmp_path / "saw", served.url, other, "saw")) as one:
        one.forwarder.send_some()
        assert one.forwarder.waiting == 0
        assert fleet.revoke(served.store, "saw") == 1
        with pytest.raises(StoreError, match="does not accept the station's token"):
            one.forwarder.send_some()


def test_a_clock_that_is_a_day_off_is_measured_and_its_rows_keep_both_times(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    day = timedelta(days=1)
    with (
        box(settings_of(tmp_path / "desk", served.url, join(served.store))) as one,
        pytest.MonkeyPatch.context() as patch,
    ):
        real = time.time
        patch.setattr(forwarding.time, "time", lambda: real() - day.total_seconds())
        one.record(range(2))
        one.forwarder.send_some()
    (sender,) = served.store.senders.all()
    assert -86_460 < sender.offset_s < -86_340
    first, second = served.store.inspections.recorded_after(0)
    now = datetime.now(UTC)
    assert first.triggered < now - day + timedelta(minutes=1)
    assert first.received is not None and now - first.received < timedelta(minutes=1)
    assert [first.key, second.key] == ["desk-0", "desk-1"]


def test_a_full_disk_on_the_server_is_507_and_everything_waits_at_the_station(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    with box(settings_of(tmp_path / "desk", served.url, join(served.store))) as one:
        one.record(range(5))
        with served.store.database.engine.connect() as connection:  # the pool gives the same one to the next
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        one.record(range(5, 500))
        with pytest.raises(StoreError, match=r"cannot take records now \(507\).*disk is full"):
            one.forwarder.send_some()
        assert one.forwarder.waiting == 500
        with served.store.database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        one.forwarder.send_some()
    assert len(keys(served.store)) == 500


def test_a_disk_that_is_nearly_full_takes_nothing_any_more(serve: Serve, tmp_path: Path) -> None:
    served = serve(free_mb=1e9)
    with box(settings_of(tmp_path / "desk", served.url, join(served.store))) as one:
        one.record(range(5))
        with pytest.raises(StoreError, match=r"\(507\).*has less than 1e\+09 MB left"):
            one.forwarder.send_some()
    assert keys(served.store) == []


def test_an_entry_that_nobody_can_record_is_named_and_the_others_are_kept(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    with box(settings_of(tmp_path / "desk", served.url, join(served.store))) as one:
        one.record(range(2))
        for wrong in ({"serial": "\0"}, {"triggered": "noon"}, {"station": "saw"}, {"verdict": "GREAT"}):
            one.journal.append({**part(99), **wrong})
        one.record(range(2, 4))
        one.forwarder.send_some()
        assert (one.forwarder.refused, one.forwarder.waiting) == (4, 0)
    assert keys(served.store) == [f"desk-{number}" for number in range(4)]
    assert served.store.senders.all()[0].refused == 4


def test_a_server_that_is_older_is_told_from_one_that_is_wrong(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    with box(settings_of(tmp_path / "desk", served.url, join(served.store))) as one:
        one.record(range(3))
        monkeypatch.setattr(forwarding, "FORMAT", 2)
        with pytest.raises(ConflictError, match=rf"this server is Sightline {__version__} \(format 1\).*\(format 2\)"):
            one.forwarder.send_some()
        monkeypatch.setattr(forwarding, "FORMAT", 1)
        one.journal.append({**part(3), "colour": "red"})
        with pytest.raises(ConflictError, match="sends what this server does not know"):
            one.forwarder.send_some()
        real = one.forwarder._site.post
        one.forwarder._site.post = lambda path, body: real("absent", body)  # type: ignore[method-assign]
        with pytest.raises(ConflictError, match=rf"runs Sightline {__version__}, which takes no records.*keeps its"):
            one.forwarder.send_some()
        assert one.forwarder.waiting == 4
    assert keys(served.store) == []


@contextmanager
def tls(certificate: Path, key: Path) -> Iterator[int]:
    """A port that speaks TLS with a certificate, and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with closing(socket.create_server(("127.0.0.1", 0))) as place:

        def answer() -> None:
            taken, _ = place.accept()
            with closing(taken), pytest.raises(ssl.SSLError), context.wrap_socket(taken, server_side=True) as one:
                one.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        yield int(place.getsockname()[1])
        thread.join(5)


def test_an_expired_certificate_is_called_so(tmp_path: Path) -> None:
    old = datetime.now(UTC) - timedelta(days=3)
    certificate, key = self_signed(tmp_path, old, old + timedelta(days=1))
    with tls(certificate, key) as port:
        settings = settings_of(tmp_path / "desk", f"https://127.0.0.1:{port}", "x", tls={"ca_file": certificate})
        with box(settings) as one:
            one.record(range(1))
            with pytest.raises(StoreError, match=r"certificate of https://127.0.0.1:\d+ has expired. Renew it"):
                one.forwarder.send_some()
            assert one.forwarder.waiting == 1
