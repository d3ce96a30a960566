"""Building the kernels never hurts: every way in which it fails leaves the references, one warning and a reason."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.compiled_ops import built, copy_of_the_library, failing_compilers, program

from latent_editor import ops
from latent_editor.doctor import _ops
from latent_editor.ops import building, kernels, toolchain

#: Runs operations until the state is no longer "building", and says what there was.
SCRIPT = """
import json, logging, sys, torch
messages = []
logging.getLogger("latent_editor.ops").addHandler(type("Keep", (logging.Handler,), {
    "emit": lambda self, record: messages.append(record.getMessage())})())
from latent_editor import ops
from latent_editor.ops import kernels
ys = [ops.bias_act(torch.ones(1, 2, 3, 3), act="lrelu", gain=1.0).sum().item()]
library = kernels.kernels_for("cpu")
first = library.state
if library.thread is not None:
    library.thread.join(120)
ys += [ops.bias_act(torch.ones(1, 2, 3, 3), act="lrelu", gain=1.0).sum().item() for _ in range(3)]
print(json.dumps({"ys": ys, "first": first, "state": library.state, "reason": library.reason, "said": messages}))
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and kernels that are not turned off."""
    monkeypatch.setenv("LATENT_EDITOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LATENT_EDITOR_OPS", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def fresh(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[kernels.Kernels]:
    """The kernels of a process that has just begun."""
    library = kernels.Kernels("cpu")
    monkeypatch.setattr(kernels, "kernels_for", lambda device: library)
    yield library
    if library.thread is not None:
        library.thread.join(60)


def use(library: kernels.Kernels) -> None:
    """Uses an operation until the library's state is decided; the result is right all the time."""
    for _ in range(3):
        y = ops.bias_act(torch.full([1, 2, 2, 2], -1.0), act="lrelu", gain=1.0)
        assert torch.allclose(y, torch.tensor(-0.2))
        if library.thread is not None:
            library.thread.join(60)


def in_new_process(**environment: str) -> dict:
    child = {**building.child_environment(), **environment}
    if "LATENT_EDITOR_OPS" not in environment:
        child.pop("LATENT_EDITOR_OPS")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], env=child, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# What works.


def test_a_library_that_is_there_is_used_at_once(cache: Path) -> None:
    copy_of_the_library()
    found = in_new_process(LATENT_EDITOR_CACHE=str(cache))
    assert (found["first"], found["state"], found["said"]) == ("ready", "ready", [])
    assert found["ys"] == [18.0] * 4


def test_the_first_use_builds_in_the_background(cache: Path) -> None:
    found = in_new_process(LATENT_EDITOR_CACHE=str(cache))
    assert (found["first"], found["state"], found["said"]) == ("building", "ready", [])
    assert found["ys"] == [18.0] * 4
    assert building.is_published(building.plan_for("cpu"))
    assert not list(building.plan_for("cpu").folder.glob("build-*"))


def test_the_variable_turns_everything_off(cache: Path) -> None:
    found = in_new_process(LATENT_EDITOR_CACHE=str(cache), LATENT_EDITOR_OPS="reference")
    assert (found["state"], found["said"]) == ("off", [])
    assert not cache.exists()


def has_open(pid: int, path: Path) -> bool:
    """Whether a process has opened a file."""
    try:
        return any(os.path.realpath(fd) == os.path.realpath(path) for fd in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # a file was closed meanwhile
        return False


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at the open files of a process")
def test_two_builders_wait_for_each_other(cache: Path) -> None:
    plan = building.plan_for("cpu")
    plan.folder.mkdir(parents=True)
    holder = f"""
import fcntl, sys, time
file = open({str(plan.folder / "lock")!r}, "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    environment = {**building.child_environment(), "CXX": "false"}  # building instead of waiting fails
    builder = subprocess.Popen(building.background_command("cpu"), env=environment)
    while builder.poll() is None and not has_open(builder.pid, plan.folder / "lock"):
        time.sleep(0.05)
    assert builder.poll() is None
    source = built("cpu")
    for name in (building.LIBRARY, building.MANIFEST):  # the other publishes, and lets go
        (plan.folder / name).write_bytes((source.folder / name).read_bytes())
    other.communicate("")
    assert builder.wait(60) == 0
    assert not list(plan.folder.glob("build-*"))


def test_the_name_of_the_folder_holds_what_the_library_depends_on(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = building.plan_for("cpu").folder
    monkeypatch.setattr(building, "cpu_flags", lambda: ("-march=other",))
    assert building.plan_for("cpu").folder != before
    monkeypatch.undo()
    (tmp_path / "csrc").mkdir()
    (tmp_path / "csrc" / "a.cpp").write_text("int a;", encoding="utf-8")
    assert building.plan_for("cpu", tmp_path / "csrc").folder != before


# What fails.


@pytest.mark.parametrize("kind", ["broken", "killed", "wrong", "missing"])
def test_a_compiler_that_fails_costs_one_warning(
    kind: str, fresh: kernels.Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compiler, reason = failing_compilers(tmp_path)[kind]
    monkeypatch.setenv("CXX", compiler)
    with caplog.at_level(logging.WARNING):
        use(fresh)
    assert fresh.state == kernels.FAILED
    assert reason in fresh.reason
    assert len(caplog.messages) == 1
    assert reason in caplog.messages[0]
    (finding,) = _ops("cpu")
    assert reason in finding.value
    assert "ops build" in str(finding.advice)
    assert not list(fresh_plan().folder.glob("build-*"))


def fresh_plan() -> building.Plan:
    return building.plan_for("cpu")


def test_a_failure_is_remembered_and_told_once(
    fresh: kernels.Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", failing_compilers(tmp_path)["broken"][0])
    use(fresh)
    later = kernels.Kernels("cpu")
    monkeypatch.setattr(kernels, "kernels_for", lambda device: later)
    caplog.clear()
    use(later)
    assert (later.state, later.thread, caplog.messages) == (kernels.FAILED, None, [])
    record = json.loads((fresh_plan().folder / building.FAILURE).read_text(encoding="utf-8"))
    record["time"] -= building.RETRY_S + 1
    (fresh_plan().folder / building.FAILURE).write_text(json.dumps(record), encoding="utf-8")
    assert building.last_failure(fresh_plan()) is None


def test_a_killed_build_is_tried_again(fresh: kernels.Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "started"
    monkeypatch.setenv("CXX", program(tmp_path / "slow", f"echo $$ > {marker}; exec sleep 60"))
    ops.bias_act(torch.ones(1, 2, 2, 2), act="lrelu")
    assert fresh.state == kernels.BUILDING
    for _ in range(600):
        if marker.exists() and marker.read_text(encoding="utf-8").strip():
            break
        time.sleep(0.1)
    os.kill(int(marker.read_text(encoding="utf-8")), signal.SIGKILL)
    use(fresh)
    assert fresh.state == kernels.FAILED
    assert building.last_failure(fresh_plan()) is None


def test_a_folder_that_cannot_be_written_costs_one_warning(
    fresh: kernels.Kernels, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("a file where a folder has to be", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        use(fresh)
    assert fresh.state == kernels.FAILED
    assert len(caplog.messages) == 1
    assert str(cache) in fresh.reason


def test_a_damaged_library_is_never_loaded(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = copy_of_the_library()
    data = plan.library.read_bytes()
    for damaged in (data[: len(data) // 2], b"", data[:5000] + b"\0" * 100 + data[5100:]):
        plan.library.write_bytes(damaged)
        assert not building.is_published(plan)
    (plan.folder / building.MANIFEST).write_text("[]", encoding="utf-8")
    assert not building.is_published(plan)
    monkeypatch.setattr(building, "toolchain_for", lambda device: pytest.fail("built"))
    library = kernels.Kernels("cpu")
    assert library.status().state == kernels.UNUSED  # and looking builds nothing


def test_a_library_that_does_not_load_costs_one_warning(
    fresh: kernels.Kernels, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copy_of_the_library()

    def refuse(path: str) -> None:
        raise OSError("undefined symbol")

    monkeypatch.setattr(torch.ops, "load_library", refuse)
    with caplog.at_level(logging.WARNING):
        use(fresh)
    assert fresh.state == kernels.FAILED
    assert len(caplog.messages) == 1


def test_cuda_is_off_where_pytorch_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LATENT_EDITOR_OPS", raising=False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert kernels.Kernels("cuda").status().state == kernels.OFF


def test_a_missing_nvcc_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "find_nvcc", lambda: None)
    with pytest.raises(toolchain.BuildFailed, match="no nvcc was found"):
        toolchain.toolchain_for("cuda")


def test_paths_with_blanks_and_colons_reach_the_compiler_whole(tmp_path: Path) -> None:
    tools = toolchain.toolchain_for("cpu")
    folder = tmp_path / "a b: $c"
    folder.mkdir()
    source = folder / "x y.cpp"
    source.write_text("int x() { return 1; }", encoding="utf-8")
    (tmp_path / "build.ninja").write_text(tools.ninja_file([source], folder / "z.so"), encoding="utf-8")
    done = subprocess.run([tools.ninja], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert (folder / "z.so").is_file()
