"""Downloads over unreliable connections, from servers that truncate, change the file, redirect and lie."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.downloads import DATA, OTHER, QUICK, SHA, visible
from support.file_server import FileServer, Handler, say, serve

from latent_editor.checkpoints.downloads import TransferPolicy, download, transfer
from latent_editor.core.errors import FetchFailed, Stopped

# A well-behaved server.


def test_a_file_is_downloaded(server: FileServer, get: Callable[..., bytes]) -> None:
    fractions: list[float] = []
    assert get(size_bytes=len(DATA), sha256=SHA, on_step=lambda s: fractions.append(s.fraction)) == DATA
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert "Range" not in server.requests[0]
    assert server.requests[0]["Accept-Encoding"] == "identity"


def test_a_file_in_pieces_of_unknown_number(server: FileServer, get: Callable[..., bytes]) -> None:
    def chunked(handler: Handler) -> None:
        handler.begin(200, {"Transfer-Encoding": "chunked"})
        for start in range(0, len(DATA), 100_000):
            piece = DATA[start : start + 100_000]
            handler.give(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.give(b"0\r\n\r\n")

    server.answers = [chunked]
    assert get() == DATA


def test_the_old_file_stays_until_the_new_one_is_whole(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "model.pkl"
    target.write_bytes(b"old")
    server.answers = [serve(only=1000)] * 3
    seen: list[bytes] = []
    with pytest.raises(FetchFailed):
        download(server.address, target, policy=TransferPolicy(max_attempts=1))
    download(server.address, target, policy=QUICK, on_step=lambda s: seen.append(target.read_bytes()))
    assert set(seen) == {b"old"}
    assert target.read_bytes() == DATA


# Lost connections.


def test_a_lost_connection_is_resumed(server: FileServer, get: Callable[..., bytes]) -> None:
    server.answers = [serve(only=n) for n in (300_000, 1, 0, 200_001)]
    assert get(sha256=SHA) == DATA
    assert [r.get("Range") for r in server.requests] == [
        None, "bytes=300000-", "bytes=300001-", "bytes=300001-", "bytes=500002-",
    ]  # fmt: skip
    assert {r.get("If-Range") for r in server.requests[1:]} == {'"1"'}
    assert server.sent == len(DATA)


def test_a_later_call_continues(server: FileServer, get: Callable[..., bytes], tmp_path: Path) -> None:
    server.answers = [serve(only=700_000), serve(only=0)]
    with pytest.raises(FetchFailed, match=r"connection lost after 0.7 MB of 1.0 MB.*0.7 MB are kept; the same command"):
        get(policy=TransferPolicy(max_attempts=1))
    assert visible(tmp_path) == ["model.pkl.part", "model.pkl.part.json"]
    assert get() == DATA
    assert server.requests[-1]["Range"] == "bytes=700000-"
    assert server.sent == len(DATA)


def test_a_part_that_was_whole_already_is_put_in_place(
    server: FileServer, get: Callable[..., bytes], tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        get(on_step=lambda s: s.fraction == 1)
    assert (tmp_path / "model.pkl.part").stat().st_size == len(DATA)
    assert get() == DATA
    assert get(size_bytes=len(DATA)) == DATA


def test_a_silent_connection_times_out(server: FileServer, get: Callable[..., bytes]) -> None:
    finished = threading.Event()
    server.answers = [serve(only=5000, then=lambda: finished.wait(60))]
    assert get(policy=TransferPolicy(timeout_s=0.5, initial_delay_s=0)) == DATA
    finished.set()
    assert server.requests[1]["Range"] == "bytes=5000-"


def test_an_unreachable_server(server: FileServer, tmp_path: Path) -> None:
    server.close()
    labels: set[str] = set()
    patient = TransferPolicy(
        max_stalled_attempts=50, initial_delay_s=0.001
    )  # but not with a server that never answered
    with pytest.raises(FetchFailed, match=r"could not be downloaded from http.*refused.*Try again later"):
        download(server.address, tmp_path / "m", policy=patient, on_step=lambda s: labels.add(s.label))
    (label,) = labels
    assert "refused" in label
    assert label.endswith("retrying")


def test_a_server_that_always_truncates_is_given_up(server: FileServer, get: Callable[..., bytes]) -> None:
    server.answers = [serve(only=1000, headers={"Content-Range": ""})] * 20
    server.ranges = False
    with pytest.raises(FetchFailed, match="connection lost after 0.0 MB of 1.0 MB"):
        get()
    assert len(server.requests) == 1 + QUICK.max_stalled_attempts


def test_attempts_are_limited_even_with_progress(server: FileServer, get: Callable[..., bytes]) -> None:
    server.answers = [serve(only=1)] * 50
    with pytest.raises(FetchFailed):
        get(policy=TransferPolicy(max_stalled_attempts=3, max_attempts=10, initial_delay_s=0))
    assert len(server.requests) == 10


def test_it_can_be_stopped_and_resumed(server: FileServer, get: Callable[..., bytes], tmp_path: Path) -> None:
    with pytest.raises(Stopped, match=r"MB are kept; the same command"):
        get(on_step=lambda s: s.fraction > 0.3)
    kept = (tmp_path / "model.pkl.part").stat().st_size
    assert 0.3 * len(DATA) < kept <= len(DATA)
    server.sent = 0
    assert get() == DATA
    assert server.sent == len(DATA) - kept


def test_it_can_be_stopped_while_it_waits(
    server: FileServer, get: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]  # which only advances while the download sleeps
    sleep = SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr(transfer, "time", sleep)
    server.answers = [say(503, Retry_After="3600")]
    with pytest.raises(Stopped):
        get(on_step=lambda s: clock[0] > 1)
    assert clock[0] < 1.5


# A file that changes, or is not the expected one.


def test_a_server_without_ranges_begins_anew(server: FileServer, get: Callable[..., bytes]) -> None:
    server.ranges = False
    server.answers = [serve(only=400_000), serve(only=500_000)]
    assert get() == DATA
    assert server.sent == 900_000 + len(DATA)


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_begins_anew(
    heeds_if_range: bool, server: FileServer, get: Callable[..., bytes], tmp_path: Path
) -> None:
    def change() -> None:
        server.data, server.etag = OTHER, '"2"'

    server.heeds_if_range = heeds_if_range
    server.answers = [serve(only=400_000, then=change)]
    assert get() == OTHER


def test_a_file_that_became_shorter_begins_anew(server: FileServer, get: Callable[..., bytes]) -> None:
    def change() -> None:
        server.data = DATA[:1000]

    server.answers = [serve(only=400_000, then=change)]
    assert get() == DATA[:1000]


def test_a_file_of_another_total_begins_anew(server: FileServer, get: Callable[..., bytes]) -> None:
    def change() -> None:
        server.data = OTHER + b"more"

    server.answers = [serve(only=400_000, then=change)]  # with the ETag of the first
    assert get() == OTHER + b"more"


def test_an_unversioned_part_is_not_continued(server: FileServer, get: Callable[..., bytes]) -> None:
    server.etag = None
    server.answers = [serve(only=400_000)]
    assert get() == DATA
    assert "Range" not in server.requests[1]


def test_a_date_or_a_hash_lets_a_part_be_continued(server: FileServer, get: Callable[..., bytes]) -> None:
    server.etag, date = None, "Fri, 01 Jan 2021 00:00:00 GMT"
    server.heeds_if_range = False
    server.answers = [serve(only=400_000, headers={"Last-Modified": date, "ETag": 'W/"weak"'})]
    assert get() == DATA
    assert server.requests[1]["If-Range"] == date
    server.answers = [serve(only=400_000)]
    assert get(sha256=SHA) == DATA
    assert server.requests[3]["Range"] == "bytes=400000-"


def test_a_wrong_content_range_is_not_used(server: FileServer, get: Callable[..., bytes]) -> None:
    wrong = {"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"}
    server.answers = [serve(only=400_000), serve(headers=wrong)]
    assert get() == DATA
    assert "Range" not in server.requests[2]


def test_a_part_of_another_address_is_dropped(server: FileServer, get: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "model.pkl.part").write_bytes(b"x" * 1000)
    assert get() == DATA
    (tmp_path / "model.pkl.part").write_bytes(b"x" * 1000)
    (tmp_path / "model.pkl.part.json").write_text('{"address": "https://a.b/c", "version": "\\"1\\"", "size_bytes": 1}')
    assert get() == DATA
    assert all("Range" not in r for r in server.requests)


def test_a_wrong_hash_is_thrown_away(server: FileServer, get: Callable[..., bytes], tmp_path: Path) -> None:
    wrong = "0" * 64
    with pytest.raises(FetchFailed, match=f"SHA-256 {SHA}; expected {wrong}.*deleted"):
        get(sha256=wrong)
    assert visible(tmp_path) == []
    assert len(server.requests) == 1


def test_a_corrupt_part_is_downloaded_again(server: FileServer, get: Callable[..., bytes], tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        get(on_step=lambda s: s.fraction > 0.3)
    part = tmp_path / "model.pkl.part"
    part.write_bytes(b"\xff" * part.stat().st_size)
    assert get(sha256=SHA) == DATA
    with pytest.raises(Stopped):
        get(on_step=lambda s: s.fraction > 0.3)
    with pytest.raises(FetchFailed, match="expected 000"):
        get(sha256="0" * 64)


def test_a_length_that_is_too_long_ends_with_the_file(server: FileServer, get: Callable[..., bytes]) -> None:
    server.answers = [serve(headers={"Content-Length": str(2 * len(DATA))})]
    assert get() == DATA  # the second answer was 416: there is no more


def test_a_length_that_is_too_short_is_noticed(server: FileServer, get: Callable[..., bytes], tmp_path: Path) -> None:
    server.answers = [serve(headers={"Content-Length": "1000"})] * 2
    with pytest.raises(FetchFailed, match="a file of 1,000 bytes instead of 1,048,576"):
        get(size_bytes=len(DATA))
    with pytest.raises(FetchFailed, match=f"expected {SHA}"):
        get(sha256=SHA)
    assert visible(tmp_path) == []


def test_an_unknown_length_needs_a_hash(server: FileServer, get: Callable[..., bytes]) -> None:
    def open_end(handler: Handler) -> None:
        handler.begin(200, {})
        handler.give(DATA)

    server.answers = [open_end, open_end]
    with pytest.raises(FetchFailed, match="unknown length"):
        get()
    assert get(sha256=SHA) == DATA
