"""Finds the compilers and their options."""

from __future__ import annotations

import functools
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

#: The oldest PyTorch version that libraries support, for the stable ABI.
OLDEST_TORCH = "0x020b000000000000"
#: Instruction sets by the capability that PyTorch detects; not "native", because images are built on other machines.
CPU_FLAGS = {
    "AVX512": ("-march=x86-64-v4", "-mprefer-vector-width=512"),
    "AVX2": ("-march=x86-64-v3",),
}
#: Flags for auto-vectorization. Kernels use PyTorch's threads: -fopenmp-simd vectorizes loops without a second thread
#: pool.
COMMON_FLAGS = (
    "-std=c++20", "-O3", "-fPIC", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden",
)  # fmt: skip
#: Tested CUDA architectures, oldest first; not every compiler supports all of them.
CUDA_ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)


class BuildFailed(Exception):
    """A failed build. The message completes "the reference is used, because …".

    Attributes:
        interrupted: The build was killed, and may succeed next time.
    """

    def __init__(self, reason: str, *, interrupted: bool = False) -> None:
        super().__init__(reason)
        self.interrupted = interrupted


@dataclass(frozen=True)
class Toolchain:
    """The programs of one build.

    Attributes:
        ninja: The path of ninja.
        cxx, cxx_flags: The C++ compiler and its flags.
        nvcc, nvcc_flags: The CUDA compiler and its flags; "" for a C++-only build.
        link_flags: Linker flags.
    """

    ninja: str
    cxx: str
    cxx_flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    nvcc: str = ""
    nvcc_flags: tuple[str, ...] = ()

    def ninja_file(self, sources: Sequence[Path], library: Path) -> str:
        """The content of build.ninja."""
        linker = _shell([self.nvcc or self.cxx, "-shared"])
        objects = [f"{i}.o" for i in range(len(sources))]
        lines = [
            "ninja_required_version = 1.3",
            f"rule cxx\n  command = {_shell([self.cxx, *self.cxx_flags])} -c $in -o $out\n  description = $in",
            f"rule nvcc\n  command = {_shell([self.nvcc, *self.nvcc_flags])} -c $in -o $out\n  description = $in",
            f"rule link\n  command = {linker} $in -o $out {_shell(self.link_flags)}\n  description = linking",
        ]
        for source, name in zip(sources, objects, strict=True):
            lines.append(f"build {name}: {'nvcc' if source.suffix == '.cu' else 'cxx'} {_path(source)}")
        lines.append(f"build {_path(library)}: link {' '.join(objects)}")
        return "\n".join([*lines, f"default {_path(library)}", ""])


def _shell(words: Sequence[str]) -> str:
    return shlex.join(words).replace("$", "$$")


def _path(path: Path) -> str:
    """Escapes a path for a ninja build line."""
    return str(path).replace("$", "$$").replace(" ", "$ ").replace(":", "$:")


def toolchain_for(device: str) -> Toolchain:
    """The toolchain for a device type.

    Raises:
        BuildFailed: a program is missing.
    """
    base = Path(torch.__file__).parent
    if not (base / "include" / "torch" / "csrc" / "stable" / "library.h").is_file():
        raise BuildFailed(f"PyTorch {torch.__version__} has no headers")
    defines = [f"-DTORCH_TARGET_VERSION={OLDEST_TORCH}", "-isystem", str(base / "include")]
    libraries = ["-ltorch", "-ltorch_cpu", "-lc10"]
    ninja, cxx = _ninja(), _compiler()
    link = [f"-L{base / 'lib'}", *libraries]
    if platform.system() == "Darwin":
        link += ["-undefined", "dynamic_lookup"]
    if device == "cpu":
        return Toolchain(ninja, cxx, cxx_flags=(*COMMON_FLAGS, *cpu_flags(), *defines), link_flags=tuple(link))
    nvcc = find_nvcc()
    if nvcc is None:
        raise BuildFailed("no nvcc was found (looked for $CUDA_HOME/bin, the PATH and /usr/local/cuda)")
    return Toolchain(
        ninja,
        cxx,
        cxx_flags=(*COMMON_FLAGS, *defines),
        link_flags=(*link, "-ltorch_cuda"),  # linked by nvcc, which finds the CUDA libraries
        nvcc=str(nvcc),
        nvcc_flags=nvcc_flags(cuda_architectures()),
    )


def nvcc_flags(architectures: Sequence[str]) -> tuple[str, ...]:
    """Code for each architecture, and PTX of the newest one for JIT compilation on later GPUs."""
    codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]
    newest = architectures[-1]
    return ("-std=c++17", "-O3", "-Xcompiler", "-fPIC", *codes, f"-gencode=arch=compute_{newest},code=compute_{newest}")


@functools.cache
def cpu_flags() -> tuple[str, ...]:
    """Flags for the vector instructions of this processor; none for the baseline."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ()
    return CPU_FLAGS.get(torch.backends.cpu.get_cpu_capability(), ())


def cuda_architectures() -> tuple[str, ...]:
    """Architectures of the GPUs present, else of TORCH_CUDA_ARCH_LIST, else all tested ones."""
    named = os.environ.get("TORCH_CUDA_ARCH_LIST", "")
    numbers = {"".join(c for c in word.split("+")[0] if c.isdigit()) for word in named.replace(";", " ").split()}
    if torch.cuda.is_available():
        found = (torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count()))
        numbers = {f"{major}{minor}" for major, minor in found}
    return tuple(sorted(numbers - {""}, key=int)) or tuple(str(a) for a in CUDA_ARCHITECTURES)


def find_nvcc() -> Path | None:
    """The CUDA compiler, or None."""
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")]
    found = [Path(home) / "bin" / "nvcc" for home in homes if home]
    on_path = shutil.which("nvcc")
    found += [Path(on_path)] if on_path else []
    found.append(Path("/usr/local/cuda/bin/nvcc"))
    return next((path for path in found if path.is_file()), None)


def offered_architectures(nvcc: Path) -> list[int]:
    """The tested architectures that this nvcc supports."""
    words = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True, check=True, timeout=60).stdout
    offered = {int(word.removeprefix("compute_")) for word in words.split() if word.startswith("compute_")}
    return [a for a in CUDA_ARCHITECTURES if a in offered]


def _compiler() -> str:
    named = os.environ.get("CXX")
    for name in [named] if named else ["c++", "g++", "clang++"]:
        found = shutil.which(name)
        if found:
            return found
    looked = f"$CXX is {named}" if named else "looked for c++, g++ and clang++"
    raise BuildFailed(f"no C++ compiler was found ({looked})")


def _ninja() -> str:
    beside = Path(sys.executable).parent / ("ninja.exe" if os.name == "nt" else "ninja")
    found = str(beside) if beside.is_file() else shutil.which("ninja")
    if found is None:
        raise BuildFailed("ninja was not found (`pip install ninja`)")
    return found
