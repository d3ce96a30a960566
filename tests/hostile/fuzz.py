"""Fuzzes the readers of checkpoints, guided by coverage: ``pip install atheris; python tests/hostile/fuzz.py FOLDER``.

Starts from the small files of the corpus and from small files of every good kind; keeps what reaches new code in FOLDER
(libFuzzer's options may follow it). Anything but a BadModel is a finding. ``--minimise FOLDER`` copies the smallest
inputs that reach as much code into ``seeds/``, where the tests replay them.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

HERE = Path(__file__).resolve().parent
SEEDS = HERE / "seeds"
LONGEST = 16384


def good_files() -> Iterator[bytes]:
    """Small files of every kind that is read."""
    from hostile import nvidia
    from hostile.corpus import INIT_KWARGS, saved

    plain = {"a": [1, 2.5, -(2**70), None, True, "ü\n", b"x" * 300], "s": {1}, "t": ((), (1, 2)), "f": frozenset({2})}
    arrays = {"c": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.eye(2, dtype=">i2")), "n": np.float32(2)}
    for protocol in range(6):
        yield pickle.dumps(plain, protocol)
        yield pickle.dumps(arrays, protocol)
    tensors = {
        "w": torch.nn.Parameter(torch.eye(2)),
        "h": torch.ones(3).half(),
        "v": torch.zeros(4, 4)[:, 1],
        "p": HERE,
    }
    rosinality = {"g_ema": {"input.input": torch.zeros(1, 1, 4, 4), "conv1.conv.weight": torch.zeros(1, 1, 1, 3, 3)}}
    psp = {"state_dict": {"decoder.style.1.weight": torch.zeros(2, 2)}, "latent_avg": torch.zeros(2)}
    for content in (tensors, rosinality, psp):
        yield saved(content)
        yield saved(content, _use_new_zipfile_serialization=False)
    source, nvidia.MODULE_SRC = nvidia.MODULE_SRC, "{canary!r}{name!r}"
    layers = {"mapping.w_avg": torch.zeros(8), "synthesis.b4.const": torch.zeros(8, 4, 4)}
    yield nvidia.nvidia_pickle(layers, INIT_KWARGS, HERE / "canary", bare=True)
    yield nvidia.nvidia_pickle({"mapping.x": torch.zeros(1), "synthesis.input.y": torch.zeros(1)}, {}, HERE, bare=True)
    nvidia.MODULE_SRC = source
    with nvidia.foreign_names():
        network = sys.modules["dnnlib.tflib.network"].Network()  # type: ignore[attr-defined]
        variables = [("dlatent_avg", np.zeros(2, np.float32)), ("4x4/Const/const", np.zeros((1, 1, 4, 4), np.float32))]
        network.__dict__.update(
            version=4, name="Gs", static_kwargs={"resolution": 4}, components={}, variables=variables
        )
        yield pickle.dumps((network, network, network), 4)
    yield from whole_generators()


def whole_generators() -> Iterator[bytes]:
    """The smallest generators that can be built, so that the fuzzer gets as far as building them."""
    from latent_editor.generators import construction

    shape = {"z_dim": 1, "w_dim": 1, "img_resolution": 8, "channel_base": 8, "channel_max": 1}
    for kind, more in (("stylegan2", {"mapping_kwargs": {"num_layers": 1}}), ("stylegan3", {"num_layers": 3})):
        kwargs = {**shape, **more}
        facts = {"kind": kind, "init_kwargs": json.dumps(kwargs), "notes": "[]"}
        tensors = {**construction.random(kind, kwargs).state_dict(), "extras/encoder/a": torch.zeros(1)}
        yield safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}, facts)


def seeds() -> Iterator[bytes]:
    """Where the fuzzer starts."""
    from hostile.corpus import cases

    yield from good_files()
    yield from (case.content for case in cases(HERE / "canary") if len(case.content) <= LONGEST)


def read(data: bytes, path: Path) -> str:
    """Reads a file as ``inspect`` does; returns the refusal, or "" where there is none.

    Whatever else goes wrong is raised.
    """
    from latent_editor.checkpoints.formats import read_checkpoint
    from latent_editor.core.errors import BadModel
    from latent_editor.generators.loading import build_checkpoint

    path.write_bytes(data)
    try:
        build_checkpoint(read_checkpoint(path), path.name)
        return ""
    except BadModel as e:
        return str(e)


def fuzz(folder: Path, options: list[str]) -> None:
    """Runs libFuzzer over the readers until its time is over or something is found."""
    import atheris  # type: ignore[import-not-found]

    readers = [
        "latent_editor.checkpoints.unpickling",
        "latent_editor.core.tensor_files",
        "latent_editor.checkpoints",
        "latent_editor.generators.construction",
        "latent_editor.generators.loading",
    ]
    with atheris.instrument_imports(include=readers):
        pass
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (folder / f"seed{number:04}").write_bytes(seed)
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None)) / "fuzzed"
    atheris.Setup([sys.argv[0], str(folder), f"-max_len={LONGEST}", *options], lambda data: read(data, path))
    atheris.Fuzz()


def reached(data: bytes, path: Path) -> frozenset[tuple[str, int, int]]:
    """The steps from line to line that reading a file takes inside of the readers."""
    steps: set[tuple[str, int, int]] = set()
    package = f"latent_editor{os.sep}"

    def trace(frame: object, event: str, _: object) -> object:
        name = frame.f_code.co_filename  # type: ignore[attr-defined]
        if package not in name:
            return None
        last = -1

        def line(inner: object, event: str, _: object) -> object:
            nonlocal last
            number = inner.f_lineno  # type: ignore[attr-defined]
            steps.add((name, last, number))
            last = number
            return line

        return line(frame, event, _)

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        read(data, path)
    finally:
        sys.settrace(None)
    return frozenset(steps)


def minimise(folder: Path, most: int = 150) -> None:
    """Copies into ``seeds/`` the inputs, smallest first, that each reach what those before did not."""
    SEEDS.mkdir(exist_ok=True)
    for old in SEEDS.iterdir():
        old.unlink()
    known: set[tuple[str, int, int]] = set()
    path = Path(tempfile.mkdtemp()) / "fuzzed"
    for seed in seeds():
        known |= reached(seed, path)
    kept = 0
    for found in sorted(folder.iterdir(), key=lambda f: (f.stat().st_size, f.name)):
        new = reached(found.read_bytes(), path) - known
        if new and kept < most:
            known |= new
            kept += 1
            (SEEDS / f"{kept:03}").write_bytes(found.read_bytes())
    print(f"{kept} files in {SEEDS}, {len(known)} steps reached")


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]
    torch.set_num_threads(1)
    if sys.argv[1] == "--minimise":
        minimise(Path(sys.argv[2]))
    else:
        fuzz(Path(sys.argv[1]), sys.argv[2:])
