"""The connection that frames come by, with a tiny model: right frames, newest first, and nonsense is told as such."""

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
def line(client: TestClient, path: str) -> Iterator[WebSocketTestSession]:
    with client.websocket_connect(f"{path}/drag") as line:
        yield line


def wish(line: WebSocketTestSession, sequence: int, shown: int | None = None, **wanted: Any) -> None:
    line.send_json({"wish": {"sequence": sequence, **wanted}, "shown": shown})


def frame(line: WebSocketTestSession) -> tuple[int, bytes]:
    data = line.receive_bytes()
    return int.from_bytes(data[:4], "big"), data[4:]


class Slow:
    """Makes the service's frames wait until they are let go, and remembers the strengths that were drawn."""

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
    def test_they_are_those_of_the_plain_route(
        self, client: TestClient, path: str, line: WebSocketTestSession, moving: bool
    ) -> None:
        for sequence, strength in ((1, 0.0), (2, 1.5), (4_294_967_295, -2.0)):
            wanted = {"strengths": {"d0": strength, "gone": 1.0}, "moving": moving}
            wish(line, sequence, **wanted)
            plain = client.post(f"{path}/frame", json={"sequence": sequence, **wanted})
            assert frame(line) == (int(plain.headers["x-sequence"]), plain.content)

    def test_they_follow_the_session(self, client: TestClient, path: str, line: WebSocketTestSession) -> None:
        wish(line, 1)
        _, before = frame(line)
        client.post(f"{path}/change", json={"do": "move", "key": "d0", "value": 2.0})
        wish(line, 2)
        _, after = frame(line)
        assert before != after == client.post(f"{path}/frame", json={}).content

    def test_only_the_newest_wish_is_drawn(self, line: WebSocketTestSession, monkeypatch: pytest.MonkeyPatch) -> None:
        slow = Slow(monkeypatch)
        wish(line, 1, strengths={"d0": 0.1})
        assert slow.begun.acquire(timeout=20)
        for sequence in range(2, 9):
            wish(line, sequence, strengths={"d0": sequence / 10})
        line.send_text("{}")  # takes nothing back
        line.send_text("?")  # answered when it is read, so what was sent before was read too
        assert line.receive_json()["error"]["kind"] == "BadValue"
        slow.go.release(2)
        assert [frame(line)[0], frame(line)[0]] == [1, 8]
        assert slow.drawn == [{"d0": 0.1}, {"d0": 0.8}]

    def test_the_server_waits_for_a_screen_that_is_behind(
        self, line: WebSocketTestSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow = Slow(monkeypatch)
        slow.go.release(100)
        for sequence in range(1, MAX_IN_FLIGHT + 1):
            wish(line, sequence, shown=0)
            assert frame(line)[0] == sequence
        wish(line, 10, shown=0)
        wish(line, 11, shown=0)
        line.send_text("?")
        assert line.receive_json()["sequence"] is None  # and no frame before it
        assert len(slow.drawn) == MAX_IN_FLIGHT
        line.send_json({"shown": 1})
        assert frame(line)[0] == 11

    def test_a_visitor_may_have_several_pages(self, client: TestClient, path: str) -> None:
        with client.websocket_connect(f"{path}/drag") as one, client.websocket_connect(f"{path}/drag") as other:
            for sequence in range(5):
                wish(one, sequence, strengths={"d0": 1.0})
                wish(other, 100 + sequence)
                assert (frame(one)[0], frame(other)[0]) == (sequence, 100 + sequence)


class TestNonsense:
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
    def test_it_is_told_in_a_typed_error_and_the_line_goes_on(self, line: WebSocketTestSession, text: str) -> None:
        line.send_text(text)
        answer = line.receive_json()
        assert answer["sequence"] is None
        assert answer["error"]["kind"] == "BadValue"
        assert answer["error"]["todo"]
        assert len(answer["error"]["what"]) < 300
        wish(line, 1)
        assert frame(line)[0] == 1

    def test_bytes(self, line: WebSocketTestSession) -> None:
        line.send_bytes(b"\x00\x01\xff")
        assert "bytes" in line.receive_json()["error"]["what"]
        wish(line, 1)
        assert frame(line)[0] == 1

    def test_strengths_beyond_the_range_are_told_with_the_number_of_the_wish(self, line: WebSocketTestSession) -> None:
        for strengths in ({"d0": 50.0}, {"position-x": 7.0}):
            wish(line, 7, strengths=strengths)
            answer = line.receive_json()
            assert (answer["sequence"], answer["error"]["kind"]) == (7, "BadValue")
        wish(line, 8)
        assert frame(line)[0] == 8

    def test_too_much_of_it_ends_the_line(self, line: WebSocketTestSession) -> None:
        for _ in range(MAX_BAD):
            line.send_text("no")
            assert line.receive_json()["error"]
        with pytest.raises(WebSocketDisconnect) as closed:
            line.receive_json()
        assert closed.value.code == 1008

    def test_the_inside_of_an_unexpected_error_is_not_shown(
        self, line: WebSocketTestSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> bytes:
            raise RuntimeError("/secret/path")

        with monkeypatch.context() as patched:
            patched.setattr(frame_socket, "requested_frame", broken)
            wish(line, 3)
            answer = line.receive_json()
        assert (answer["sequence"], answer["error"]["kind"]) == (3, "unexpected")
        assert "secret" not in json.dumps(answer)
        wish(line, 4)
        assert frame(line)[0] == 4


class TestWho:
    def test_without_a_session_there_is_no_line(self, client: TestClient) -> None:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/editor/s/guess/drag"):
            pass

    def test_a_session_that_ends_ends_the_line(self, client: TestClient, path: str, service: ModelService) -> None:
        with client.websocket_connect(f"{path}/drag") as line:
            service.store.drop(path.rsplit("/", 1)[1])
            wish(line, 5)
            answer = line.receive_json()
            assert (answer["sequence"], answer["error"]["kind"]) == (5, "SessionExpired")
            with pytest.raises(WebSocketDisconnect) as closed:
                line.receive_json()
            assert closed.value.code == 1008

    def test_without_a_face_it_says_what_to_do(self, client: TestClient) -> None:
        session = client.post("/editor/sessions").json()["id"]
        with client.websocket_connect(f"/editor/s/{session}/drag") as line:
            wish(line, 1)
            assert "Choose a photo" in line.receive_json()["error"]["todo"]

    def test_a_page_that_leaves_in_the_middle_of_a_frame_harms_nobody(
        self, client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            slow = Slow(patched)
            with client.websocket_connect(f"{path}/drag") as line:
                wish(line, 1)
                assert slow.begun.acquire(timeout=20)
                threading.Timer(0.1, slow.go.release).start()
        with client.websocket_connect(f"{path}/drag") as line:
            wish(line, 1)
            assert frame(line)[0] == 1
