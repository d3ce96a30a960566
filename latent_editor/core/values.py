"""The values that flow through the editor, all immutable.

photo → align → :class:`Crop` → invert → :class:`Latent` → edited by :class:`Edit` s → render → paste
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadLatent, BadValue, UnknownDirection
from latent_editor.core.feature_patch import FeaturePatch
from latent_editor.core.provenance import UNKNOWN, Provenance
from latent_editor.core.refinement import Refinement
from latent_editor.core.region import Blend, Region


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo, upright and validated.

    Attributes:
        image: RGB, 8 bit, EXIF orientation already applied.
        name: The file's name without folders, for messages and downloads.
        exif: The file's EXIF block with its orientation reset, or None.
        icc_profile: The file's color profile, which ``image`` is encoded in, or None for sRGB.
        rgba: The pixels of a transparent file; ``image`` shows them on gray.
    """

    image: Image.Image
    name: str = "photo"
    exif: bytes | None = None
    icc_profile: bytes | None = None
    rgba: Image.Image | None = None


@dataclass(frozen=True, eq=False)
class Crop:
    """The part of a photo that the generator can represent.

    Attributes:
        image: RGB, ``size_px`` × ``size_px`` of the generator.
        crop_to_photo: float64 [2, 3]. Maps (x, y, 1) in crop pixels to (x, y) in photo pixels; pixel centers are at
            integers plus one half.
        landmarks: Landmarks in crop pixels (left_eye, right_eye, nose, mouth, chin; left means image left). Empty if
            the crop was drawn by hand.
    """

    image: Image.Image
    crop_to_photo: np.ndarray
    landmarks: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Latent:
    """A point in a generator's W+ space, with its refinement of the generator and its blend of regions.

    Attributes:
        ws: float32 [num_ws, w_dim], on the CPU.
        model: Name of the generator that it belongs to.
        fingerprint: Fingerprint of that generator's weights.
        psnr_db: Fidelity: PSNR of the rendered latent to the crop it was inverted from, if any.
        method: How it was found ("encoder", "w", "w+", "pivotal", "random", …).
        refinement: What it changes in the generator; None for a point in W+ only.
            :func:`latent_editor.rendering.render` draws the latent with it.
        blend: Other latents drawn in parts of its picture, if it was edited in regions.
    """

    ws: Tensor
    model: str
    fingerprint: str
    psnr_db: float | None = None
    method: str = "unknown"
    refinement: Refinement | None = None
    blend: Blend | None = None

    def save(self, path: str | Path) -> None:
        """Writes the latent as safetensors (never pickle), atomically. Version 2 adds refinements, 3 regions."""
        about = {"model": self.model, "fingerprint": self.fingerprint, "psnr_db": self.psnr_db, "method": self.method}
        refined = {} if self.refinement is None else self.refinement.tensors()
        blended = {} if self.blend is None else self.blend.tensors()
        version = "3" if blended else "2" if refined else "1"
        metadata = {"kind": "latent", "version": version, "about": json.dumps(about)}
        ws = self.ws.clone()  # the pivot may be the same tensor
        tensor_files.write_tensors(path, {"ws": ws, **refined, **blended}, metadata)

    @staticmethod
    def load(path: str | Path) -> Latent:
        """Reads a latent written by :meth:`save`.

        Raises:
            BadLatent: the file is missing, damaged, of a newer version, not a latent, or has values that are not
                finite.
        """
        tensors, metadata = tensor_files.read_tensors(path, error=BadLatent, max_bytes=64 << 20)
        version = metadata.get("version", "1")
        if metadata.get("kind") != "latent" or "ws" not in tensors or (version == "1" and len(tensors) > 1):
            raise BadLatent(
                f"{Path(path).name} holds {sorted(tensors)[:5]}, not a latent. "
                "Choose a file saved by Latent.save or “Save → latent”."
            )
        if version not in ("1", "2", "3"):
            raise BadLatent(
                f"{Path(path).name} is a latent of version {version[:20]!r}; versions 1 to 3 are read. "
                "Update Latent Editor, or invert the photo again."
            )
        blended = {key: t for key, t in tensors.items() if key.startswith("blend/") and version == "3"}
        blend = Blend.of(blended, Path(path).name) if blended else None
        refined = {key: tensor for key, tensor in tensors.items() if key != "ws" and key not in blended}
        refinement = Refinement.of(refined, Path(path).name) if refined else None
        try:
            about = json.loads(metadata["about"])
            ws = tensors["ws"].float()
            return Latent(
                ws,
                str(about["model"]),
                str(about["fingerprint"]),
                about.get("psnr_db"),
                str(about.get("method", "unknown")),
                refinement,
                blend,
            )._checked(path)
        except (KeyError, TypeError, ValueError) as e:
            if isinstance(e, BadLatent):
                raise
            raise BadLatent(
                f"{Path(path).name} is a latent with a damaged header ({e}). Invert the photo again."
            ) from e

    def _checked(self, path: str | Path) -> Latent:
        if self.ws.ndim != 2:
            raise BadLatent(
                f"{Path(path).name} holds ws of shape {list(self.ws.shape)}; expected [num_ws, w_dim]. "
                "Invert the photo again."
            )
        if self.blend is not None and self.blend.offsets.shape[1:] != self.ws.shape:
            raise BadLatent(
                f"{Path(path).name} holds ws of {list(self.ws.shape)} and regions of "
                f"{list(self.blend.offsets.shape[1:])}. Save the face again from the editor."
            )
        if not torch.isfinite(self.ws).all():
            raise BadLatent(f"{Path(path).name} holds values that are not finite. Invert the photo again.")
        return self


@dataclass(frozen=True, eq=False)
class Direction:
    """A semantic direction in latent space: one slider.

    Attributes:
        name: Its effect in a few words ("red hair"). Unique within a model.
        vector: float32 [num_ws, w_dim]. One calibrated unit: adding it once is one visible step.
        low, high: Measured safe range, in units.
        layers: Half-open range of the ws it acts on by default.
        source: "pca", "sefa", "boundary", "stylespace", "text", "imported", …
        provenance: How it was made: method, prompt, component number, examples, …
        score: Confidence in the name, 0..1; None if the user chose it.
        entanglement: Change from −2 to +2, measured on random faces, in standard deviations over faces: "own" is the
            named attribute; the others ("hair", "skin", "age", "pose", "background", "identity", …) are side effects.
            None if not measured.
        interpolates: ``vector`` is another face's W+ code; strength in [0, 1] interpolates towards it.
        feature_patch: F-space features added to the activations, scaled by the strength; used instead of ``vector``.
    """

    name: str
    vector: Tensor
    low: float = -3.0
    high: float = 3.0
    layers: tuple[int, int] | None = None
    source: str = "unknown"
    provenance: Provenance = UNKNOWN
    score: float | None = None
    entanglement: Mapping[str, float] | None = None
    interpolates: bool = False
    feature_patch: FeaturePatch | None = None

    @property
    def space(self) -> str:
        """ "w" if it moves all of its layers alike, "w+" if each layer has a vector of its own."""
        acting = self.vector if self.layers is None else self.vector[slice(*self.layers)]
        return "w" if len(acting) == 0 or bool((acting == acting[:1]).all()) else "w+"

    @property
    def detail(self) -> str:
        """The provenance as one line for people."""
        return self.provenance.describe()

    @property
    def prompt(self) -> str | None:
        """The text that a text direction was made from, whatever it is called now; None for other directions."""
        return (self.provenance.prompt or self.name) if self.source == "text" else None

    def facts(self) -> dict[str, Any]:
        """Everything but the vector, by its keys in files and JSON; "provenance" only where something is known."""
        provenance = self.provenance.to_json()
        return {
            "name": self.name,
            "low": self.low,
            "high": self.high,
            "layers": self.layers,
            "source": self.source,
            "detail": self.detail,
            "score": self.score,
            "leakage": self.entanglement,
            **({"provenance": provenance} if provenance else {}),
        }

    @staticmethod
    def from_facts(facts: Mapping[str, Any], vector: Tensor) -> Direction:
        """Builds a direction from its vector and from what :meth:`facts` returned.

        Files of earlier versions have no "provenance": it is recovered from their "detail".

        Raises:
            BadValue: a provenance that cannot be read.
            KeyError: no name.
            TypeError: an unknown key.
        """
        values = dict(facts)
        layers, detail = values.pop("layers", None), values.pop("detail", "")
        source = str(values.get("source", "unknown"))
        if "provenance" in values:
            provenance = Provenance.from_json(values.pop("provenance"))
        else:
            provenance = Provenance.from_detail(source, str(detail))
        return Direction(
            values.pop("name"),
            vector,
            layers=tuple(layers) if layers else None,
            provenance=provenance,
            entanglement=values.pop("leakage", None),
            **values,
        )

    def renamed(self, name: str) -> Direction:
        return replace(self, name=name, score=None)


class Directions(tuple[Direction, ...]):
    """An ordered set of directions, found by position or by name: ``directions["age"]``.

    Raises (from ``[]`` with a name): UnknownDirection, with the names there are.
    """

    def __new__(cls, items: Iterable[Direction] = ()) -> Directions:
        return super().__new__(cls, tuple(items))

    @property
    def names(self) -> list[str]:
        return [d.name for d in self]

    @overload  # type: ignore[override]
    def __getitem__(self, key: int | str) -> Direction: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Direction, ...]: ...
    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        for d in self:
            if d.name.casefold() == key.strip().casefold():
                return d
        raise UnknownDirection(f"No direction is called {key!r}. There are: {', '.join(self.names)}.")


@dataclass(frozen=True, eq=False)
class Edit:
    """One slider setting: ``strength`` units of a direction on a range of layers.

    Attributes:
        direction: What to change.
        strength: In calibrated units; 0 changes nothing.
        layers: Half-open range of ws; None uses the direction's own.
        muted: Kept in the list, without effect.
        region: The part of the picture that it acts in; None is all of it.

    Raises:
        BadValue: a strength that is not finite, or outside 0..1 for a direction that interpolates.
    """

    direction: Direction
    strength: float
    layers: tuple[int, int] | None = None
    muted: bool = False
    region: Region | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.strength):
            raise BadValue(
                f"The strength of {self.direction.name!r} is {self.strength}; "
                "expected a finite number, usually −3 to 3."
            )
        if self.direction.interpolates and not 0 <= self.strength <= 1:
            raise BadValue(
                f"The amount of {self.direction.name!r} is {self.strength:g}; expected 0 (none of the other face) to "
                "1 (all of it)."
            )


@dataclass(frozen=True, eq=False)
class Step:
    """Progress of a long computation.

    Attributes:
        step, steps: Done and planned (the plan may change with the time left).
        seconds: Since the start.
        fraction: 0..1, for a progress bar.
        psnr_db: PSNR of the best so far, or None.
        image: The best so far, float32 [channels, H, W], about −1..1, or None.
        ws: Its latent, float32 [num_ws, w_dim], or None.
        refinement: Its refinement, or None.
        label: The current stage.
    """

    step: int
    steps: int
    seconds: float
    fraction: float
    psnr_db: float | None = None
    image: Tensor | None = None
    ws: Tensor | None = None
    label: str = ""
    refinement: Refinement | None = None


#: Called after every step; a true answer stops the computation, which then returns its best so far.
OnStep = Callable[[Step], "bool | None"]
