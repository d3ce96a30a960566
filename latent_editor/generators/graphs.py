"""CUDA graphs: captures the kernels of a network once and replays them with one launch.

At batch 1 a GPU waits for Python between kernels. A CUDA graph launches them all at once, on fixed memory.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import torch
from torch import Tensor

Draw = Callable[[Tensor], Tensor]

#: Calls with the same key before its graph is captured, which takes the time and memory of a few images.
WARMUP_CALLS = 2
#: Number of graphs in the cache; each holds the memory of all activations of an image.
MAX_GRAPHS = 4


def capture(draw: Draw, x: Tensor) -> Draw:
    """Captures ``draw`` as a CUDA graph for inputs like ``x``.

    Args:
        draw: May only depend on its input and on tensors that stay in place.
        x: An example input on a GPU.

    Returns:
        A function equivalent to ``draw`` for tensors of the shape and dtype of ``x``.

    Raises:
        RuntimeError: something in ``draw`` cannot be captured.
    """
    with torch.inference_mode(False):  # a normal tensor, which can be written to in any mode
        given = x.clone()
    side = torch.cuda.Stream(x.device)
    side.wait_stream(torch.cuda.current_stream(x.device))
    with torch.cuda.stream(side):  # warm-up: libraries select algorithms and allocate workspaces
        for _ in range(2):
            draw(given)
    torch.cuda.current_stream(x.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        drawn = draw(given)

    def replay(x: Tensor) -> Tensor:
        given.copy_(x)
        graph.replay()
        return drawn.clone()

    return replay


class CudaGraphCache:
    """CUDA graphs of one network. Thread-safe; copies of a network start with an empty cache.

    Args:
        capture_fn: Captures a graph; for tests.
    """

    def __init__(self, capture_fn: Callable[[Draw, Tensor], Draw] = capture) -> None:
        self._capture_graph = capture_fn
        self._graphs: OrderedDict[Hashable, Draw] = OrderedDict()
        self._seen: dict[Hashable, int] = {}
        self._tensors: tuple[tuple[int, int], ...] = ()
        self._failed = False
        self._lock = threading.Lock()

    def draw(self, draw: Draw, x: Tensor, kind: Hashable, tensors: Iterable[Tensor]) -> Tensor:
        """Computes ``draw(x)``, by replaying a graph after the first few calls of its kind.

        Args:
            draw: The function to capture; always the same for a ``kind``.
            x: Its input.
            kind: Key of everything that ``draw`` depends on, besides shape, dtype and device of ``x``.
            tensors: The tensors of the network; a change of any invalidates the graphs.
        """
        versions = tuple((t.data_ptr(), t._version) for t in tensors)
        key = kind, tuple(x.shape), x.dtype, x.device
        with self._lock:  # a graph has one set of buffers, for one image at a time
            if versions != self._tensors:
                self._graphs.clear()
                self._seen.clear()
                self._tensors = versions
            replay = self._graphs.get(key)
            if replay is None and not self._failed:
                self._seen[key] = self._seen.get(key, 0) + 1
                if self._seen[key] > WARMUP_CALLS:
                    replay = self._capture(draw, x, key)
            if replay is not None:
                self._graphs.move_to_end(key)
                return replay(x)
        return draw(x)

    def _capture(self, draw: Draw, x: Tensor, key: Hashable) -> Draw | None:
        """Captures a graph; None, and no further attempts, if that fails."""
        try:
            replay = self._capture_graph(draw, x)
        except RuntimeError as e:  # also raised when out of memory
            self._failed = True
            logging.getLogger("latent_editor").warning("CUDA graphs are disabled, rendering is slower: %s", e)
            return None
        self._graphs[key] = replay
        while len(self._graphs) > MAX_GRAPHS:
            self._graphs.popitem(last=False)
        return replay

    def __deepcopy__(self, memo: dict[int, Any]) -> CudaGraphCache:
        return CudaGraphCache(self._capture_graph)

    def __reduce__(self) -> tuple[type[CudaGraphCache], tuple[()]]:
        return CudaGraphCache, ()
