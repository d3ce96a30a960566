"""The CUDA sources without a GPU: they compile for every architecture, and their arithmetic runs on the CPU."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from support.environment import skip_outside_ci

from latent_editor.ops import building, toolchain

CUDA = building.SOURCES / "cuda"
KERNELS = sorted(CUDA.glob("*.cu"))
EMULATION = Path(__file__).parent / "cuda_emulation"


@pytest.fixture(scope="module")
def nvcc() -> Path:
    """The CUDA compiler; continuous integration runs on machines that have it."""
    found = toolchain.find_nvcc()
    if found is None:
        skip_outside_ci("no nvcc was found: the CUDA sources are not compiled")
    return Path(str(found))


def compiled(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    assert "warning" not in done.stderr.lower(), done.stderr


def test_there_are_kernels_and_they_include_only_what_every_machine_has() -> None:
    assert len(KERNELS) >= 3
    allowed = {"<cuda_runtime.h>", "<cuda_fp16.h>", "<cuda_bf16.h>", "<cstdint>"}
    for path in (*CUDA.glob("*.cu*"), CUDA / "entries.h"):
        lines = [
            line.split()[1] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#include")
        ]
        assert {name for name in lines if name.startswith("<")} <= allowed, path.name


@pytest.mark.parametrize("source", KERNELS, ids=lambda path: path.stem)
def test_every_kernel_compiles_for_every_architecture(source: Path, nvcc: Path, tmp_path: Path) -> None:
    offered = toolchain.offered_architectures(nvcc)
    assert {75, 80, 86, 89, 90} <= set(offered)
    command = [
        str(nvcc),
        *toolchain.nvcc_flags([str(a) for a in offered]),
        "-c",
        str(source),
        "-o",
        str(tmp_path / "o.o"),
    ]
    compiled(command)


@pytest.mark.parametrize("source", KERNELS, ids=lambda path: path.stem)
def test_every_kernel_has_ptx(source: Path, nvcc: Path, tmp_path: Path) -> None:
    for architecture in (toolchain.offered_architectures(nvcc)[0], toolchain.offered_architectures(nvcc)[-1]):
        ptx = tmp_path / f"{architecture}.ptx"
        compiled([str(nvcc), "-std=c++17", f"-arch=compute_{architecture}", "-ptx", str(source), "-o", str(ptx)])
        text = ptx.read_text(encoding="utf-8")
        assert f".target sm_{architecture}" in text
        # One entry for each precision, or for each pair of them.
        assert text.count(".entry ") >= 3


def cxx_flags() -> list[str]:
    headers = Path(torch.__file__).parent / "include"
    return ["-std=c++20", "-O1", "-fPIC", f"-DTORCH_TARGET_VERSION={toolchain.OLDEST_TORCH}", "-isystem", str(headers)]


@pytest.fixture(scope="module")
def cxx() -> str:
    try:
        return toolchain.toolchain_for("cpu").cxx
    except toolchain.BuildFailed as e:
        skip_outside_ci(str(e))
        raise


def test_the_bindings_compile_beside_a_pytorch_without_cuda(cxx: str, tmp_path: Path) -> None:
    compiled([cxx, *cxx_flags(), "-Wall", "-c", str(CUDA / "bindings.cpp"), "-o", str(tmp_path / "bindings.o")])


def test_the_kernels_compute_on_a_cpu_what_the_references_do(cxx: str, tmp_path: Path) -> None:
    """The same sources, one thread a block, in the place of the CPU's kernels."""
    key = ["-DDISPATCH_KEY=CPU", "-DON_THIS_DEVICE(x)=true", "-DEMULATED"]
    commands = [
        [cxx, *cxx_flags(), *key, "-I", str(EMULATION), "-x", "c++", "-c", str(source), "-o", str(tmp_path / f"{i}.o")]
        for i, source in enumerate([*KERNELS, CUDA / "bindings.cpp"])
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compiled, commands))
    library, base = tmp_path / "emulated.so", Path(torch.__file__).parent / "lib"
    objects = [str(path) for path in sorted(tmp_path.glob("*.o"))]
    compiled([cxx, "-shared", *objects, "-o", str(library), f"-L{base}", "-ltorch", "-ltorch_cpu", "-lc10"])
    code = f"""
import torch
from latent_editor.ops import checking
with torch.inference_mode():
    wrong = checking.check("cpu", {str(library)!r}, dtypes=tuple(checking.TOLERANCE), needed=checking.USED["cuda"])
has = torch._C._dispatch_has_kernel_for_dispatch_key
names = ("upfirdn2d", "bias_act", "filtered_lrelu", "modulation_epilogue", "modulation_epilogue_")
assert all(has("latent_editor::" + name, "CPU") for name in names)
assert wrong is None, wrong
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=building.child_environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
