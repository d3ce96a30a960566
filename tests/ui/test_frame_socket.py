"""The frame socket with a tiny model: the right frames, newest first, and typed errors for malformed messages."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from latent_editor.sessions.session import Session
from latent_editor.ui.api import frame_socket
from latent_editor.ui.api.frame_socket import MAX_BAD, MAX_CHARACTERS, MAX_IN_FLIGHT
from latent_editor.ui.service.model_service import ModelService


@pytest.fixture
def connection(client: TestClient, path: str) -> Iterator[WebSocketTestSession]:
    with client.websocket_connect(f"{path}/drag") as connection:
        yield connection


def request(connection: WebSocketTestSession, sequence: int, shown: int | None = None, **wanted: Any) -> None:
    connection.send_json({"wish": {"sequence": sequence, **wanted}, "shown": shown})


def frame(connection: WebSocketTestSession) -> tuple[int, bytes]:
    data = connection.receive_bytes()
    return int.from_bytes(data[:4], "big"), data[4:]


class Slow:
    """Blocks the drawing of frames until ``go`` is released, and records the strengths that were drawn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drawn: list[dict[str, float]] = []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)

        def draw(service: ModelService, session: Session, request: Any) -> bytes:
            self.drawn.append(request.strengths)
            self.begun.release()
            assert self.go.acquire(timeout=20)
            return b"jpeg"

        monkeypatch.setattr(frame_socket, "requested_frame", draw)


class TestFrames:
    @pytest.mark.parametrize("moving", [True, False])
    def test_they_equal_those_of_the_http_route(
        self, client: TestClient, path: str, connection: WebSocketTestSession, moving: bool
    ) -> None:
        for sequence, strength in ((1, 0.0), (2, 1.5), (4_294_967_295, -2.0)):
            wanted = {"strengths": {"d0": strength, "gone": 1.0}, "moving": moving}
            request(connection, sequence, **wanted)
            plain = client.post(f"{path}/frame", json={"sequence": sequence, **wanted})
            assert frame(connection) == (int(plain.headers["x-sequence"]), plain.content)

    def test_they_follow_the_session(self, client: TestClient, path: str, connection: WebSocketTestSession) -> None:
        request(connection, 1)
        _, before = frame(connection)
        client.post(f"{path}/change", json={"do": "move", "key": "d0", "value": 2.0})
        request(connection, 2)
        _, after = frame(connection)
        assert before != after == client.post(f"{path}/frame", json={}).content

    def test_only_the_newest_request_is_drawn(
        self, connection: WebSocketTestSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow = Slow(monkeypatch)
        request(connection, 1, strengths={"d0": 0.1})
        assert slow.begun.acquire(timeout=20)
        for sequence in range(2, 9):
            request(connection, sequence, strengths={"d0": sequence / 10})
        connection.send_text("{}")  # cancels nothing
        connection.send_text("?")  # its answer shows that the earlier messages were read
        assert connection.receive_json()["error"]["kind"] == "BadValue"
        slow.go.release(2)
        assert [frame(connection)[0], frame(connection)[0]] == [1, 8]
        assert slow.drawn == [{"d0": 0.1}, {"d0": 0.8}]

    def test_the_server_waits_for_a_screen_that_is_behind(
        self, connection: WebSocketTestSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow = Slow(monkeypatch)
        slow.go.release(100)
        for sequence in range(1, MAX_IN_FLIGHT + 1):
            request(connection, sequence, shown=0)
            assert frame(connection)[0] == sequence
        request(connection, 10, shown=0)
        request(connection, 11, shown=0)
        connection.send_text("?")
        assert connection.receive_json()["sequence"] is None  # and no frame before it
        assert len(slow.drawn) == MAX_IN_FLIGHT
        connection.send_json({"shown": 1})
        assert frame(connection)[0] == 11

    def test_a_visitor_may_have_several_pages(self, client: TestClient, path: str) -> None:
        with client.websocket_connect(f"{path}/drag") as one, client.websocket_connect(f"{path}/drag") as other:
            for sequence in range(5):
                request(one, sequence, strengths={"d0": 1.0})
                request(other, 100 + sequence)
                assert (frame(one)[0], frame(other)[0]) == (sequence, 100 + sequence)


class TestBadRequests:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "no JSON",
            "[]",
            "3",
            "null",
            '"wish"',
            '{"wish": 5}',
            '{"wish": {"sequence": -1}}',
            '{"wish": {"sequence": 1.5}}',
            '{"wish": {"sequence": 4294967296}}',
            '{"wish": {"sequence": 1e999}}',
            '{"wish": {"strengths": {"d0": NaN}}}',
            '{"wish": {"strengths": {"d0": -Infinity}}}',
            '{"wish": {"strengths": {"d0": 1e999}}}',
            '{"wish": {"strengths": {"d0": "x"}}}',
            '{"wish": {"strengths": [1, 2]}}',
            '{"wish": {"moving": "perhaps"}}',
            '{"shown": -1}',
            '{"other": 1}',
            json.dumps({"wish": {"strengths": {f"d{i}": 0 for i in range(65)}}}),
            "[" * 20_000,
            '{"wish": ' * 3_000,
            "x" * (MAX_CHARACTERS + 1),
            "\x00\ud7ff\U0001f600",
        ],
    )
    def test_it_is_answered_by_a_typed_error_and_the_connection_stays_open(
        self, connection: WebSocketTestSession, text: str
    ) -> None:
        connection.send_text(text)
        answer = connection.receive_json()
        assert answer["sequence"] is None
        assert answer["error"]["kind"] == "BadValue"
        assert answer["error"]["todo"]
        assert len(answer["error"]["what"]) < 300
        request(connection, 1)
        assert frame(connection)[0] == 1

    def test_bytes(self, connection: WebSocketTestSession) -> None:
        connection.send_bytes(b"\x00\x01\xff")
        assert "bytes" in connection.receive_json()["error"]["what"]
        request(connection, 1)
        assert frame(connection)[0] == 1

    def test_strengths_out_of_range_are_reported_with_the_number_of_the_request(
        self, connection: WebSocketTestSession
    ) -> None:
        for strengths in ({"d0": 50.0}, {"position-x": 7.0}):
            request(connection, 7, strengths=strengths)
            answer = connection.receive_json()
            assert (answer["sequence"], answer["error"]["kind"]) == (7, "BadValue")
        request(connection, 8)
        assert frame(connection)[0] == 8

    def test_too_much_of_it_closes_the_connection(self, connection: WebSocketTestSession) -> None:
        for _ in range(MAX_BAD):
            connection.send_text("no")
            assert connection.receive_json()["error"]
        with pytest.raises(WebSocketDisconnect) as closed:
            connection.receive_json()
        assert closed.value.code == 1008

    def test_unexpected_errors_reveal_no_details(
        self, connection: WebSocketTestSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> bytes:
            raise RuntimeError("/secret/path")

        with monkeypatch.context() as patched:
            patched.setattr(frame_socket, "requested_frame", broken)
            request(connection, 3)
            answer = connection.receive_json()
        assert (answer["sequence"], answer["error"]["kind"]) == (3, "unexpected")
        assert "secret" not in json.dumps(answer)
        request(connection, 4)
        assert frame(connection)[0] == 4


class TestSessions:
    def test_without_a_session_the_connection_is_refused(self, client: TestClient) -> None:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/editor/s/guess/drag"):
            pass

    def test_an_expired_session_closes_the_connection(
        self, client: TestClient, path: str, service: ModelService
    ) -> None:
        with client.websocket_connect(f"{path}/drag") as connection:
            service.store.drop(path.rsplit("/", 1)[1])
            request(connection, 5)
            answer = connection.receive_json()
            assert (answer["sequence"], answer["error"]["kind"]) == (5, "SessionExpired")
            with pytest.raises(WebSocketDisconnect) as closed:
                connection.receive_json()
            assert closed.value.code == 1008

    def test_without_a_face_it_says_what_to_do(self, client: TestClient) -> None:
        session = client.post("/editor/sessions").json()["id"]
        with client.websocket_connect(f"/editor/s/{session}/drag") as connection:
            request(connection, 1)
            assert "Choose a photo" in connection.receive_json()["error"]["todo"]

    def test_a_page_may_leave_while_a_frame_is_drawn(
        self, client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            slow = Slow(patched)
            with client.websocket_connect(f"{path}/drag") as connection:
                request(connection, 1)
                assert slow.begun.acquire(timeout=20)
                threading.Timer(0.1, slow.go.release).start()
        with client.websocket_connect(f"{path}/drag") as connection:
            request(connection, 1)
            assert frame(connection)[0] == 1
