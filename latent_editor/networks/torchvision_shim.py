"""Lets torchvision be imported beside a torch that was built for another device.

The registry's torchvision is a CUDA build. Beside a CPU torch its library does not load, and then its import fails with
"operator torchvision::nms does not exist", because it registers shape rules for operators that were never defined.
Nothing here needs those operators: their schemas are enough.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@functools.cache
def prepare_torchvision() -> torch.library.Library | None:
    """Makes ``import torchvision`` work; call it before the first import of torchvision, timm or open_clip.

    Returns:
        The library that holds the schemas, which has to stay alive (the cache sees to it); None where torchvision's own
        library loads, or where there is no torchvision.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return None
    for library in sorted(Path(spec.submodule_search_locations[0]).glob("_C*.so")):
        try:
            torch.ops.load_library(str(library))
            return None
        except OSError:
            continue  # built for another device
    if hasattr(torch.ops.torchvision, "nms"):
        return None  # somebody else has defined them
    schemas = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        schemas.define(schema)
    return schemas
