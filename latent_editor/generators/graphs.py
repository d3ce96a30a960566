"""Pictures on a GPU, replayed: a network of a hundred small kernels is recorded once, and then started as one.

At batch 1 a GPU waits for Python between kernels. A CUDA graph starts them all at once, on the same memory each time.
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

#: How often a kind of picture is drawn as usual before it is recorded, which costs a few pictures' time and memory.
USUAL_FIRST = 2
#: Recordings that are kept at most; each holds the memory of a whole picture's activations.
MAX_RECORDINGS = 4


def capture(draw: Draw, x: Tensor) -> Draw:
    """Records ``draw`` for inputs like ``x``.

    Args:
        draw: What it starts may depend on nothing but its input and tensors that stay where they are.
        x: An example on a GPU.

    Returns:
        A function that takes tensors of the shape and dtype of ``x``, and gives the same as ``draw``.

    Raises:
        RuntimeError: something in ``draw`` cannot be recorded.
    """
    with torch.inference_mode(False):  # so that it can be filled in any mode
        given = x.clone()
    side = torch.cuda.Stream(x.device)
    side.wait_stream(torch.cuda.current_stream(x.device))
    with torch.cuda.stream(side):  # libraries choose their algorithms and take their memory before the recording
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
    """Recordings of one network's pictures by their kind. Threads may share it; copies of a network begin with none.

    Args:
        recorder: Makes a recording, as :func:`capture`.
    """

    def __init__(self, recorder: Callable[[Draw, Tensor], Draw] = capture) -> None:
        self._recorder = recorder
        self._kept: OrderedDict[Hashable, Draw] = OrderedDict()
        self._seen: dict[Hashable, int] = {}
        self._tensors: tuple[tuple[int, int], ...] = ()
        self._refused = False
        self._lock = threading.Lock()

    def draw(self, draw: Draw, x: Tensor, kind: Hashable, tensors: Iterable[Tensor]) -> Tensor:
        """``draw(x)``, replayed where the same kind was drawn often enough.

        Args:
            draw: What is recorded; always the same for a kind.
            x: Its input.
            kind: Tells what ``draw`` depends on beside x's shape, dtype and device.
            tensors: The network's, which make the recordings worthless when one of them changes.
        """
        versions = tuple((t.data_ptr(), t._version) for t in tensors)
        key = kind, tuple(x.shape), x.dtype, x.device
        with self._lock:  # a recording has one memory, and only one picture fits into it
            if versions != self._tensors:
                self._kept.clear()
                self._seen.clear()
                self._tensors = versions
            replay = self._kept.get(key)
            if replay is None and not self._refused:
                self._seen[key] = self._seen.get(key, 0) + 1
                if self._seen[key] > USUAL_FIRST:
                    replay = self._recorded(draw, x, key)
            if replay is not None:
                self._kept.move_to_end(key)
                return replay(x)
        return draw(x)

    def _recorded(self, draw: Draw, x: Tensor, key: Hashable) -> Draw | None:
        """A new recording; None, and no further attempt, where that fails."""
        try:
            replay = self._recorder(draw, x)
        except RuntimeError as e:  # what PyTorch raises, out of memory too
            self._refused = True
            logging.getLogger("latent_editor").warning("Pictures are not replayed on the GPU, only drawn: %s", e)
            return None
        self._kept[key] = replay
        while len(self._kept) > MAX_RECORDINGS:
            self._kept.popitem(last=False)
        return replay

    def __deepcopy__(self, memo: dict[int, Any]) -> CudaGraphCache:
        return CudaGraphCache(self._recorder)

    def __reduce__(self) -> tuple[type[CudaGraphCache], tuple[()]]:
        return CudaGraphCache, ()
