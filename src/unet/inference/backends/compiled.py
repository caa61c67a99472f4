"""Networks computed by OpenVINO, on a CPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from unet.bundle import Bundle
from unet.inference.backends.graph_cache import Graph, key_of, recalled
from unet.inference.backends.graphs import converted, core
from unet.inference.folding import fold_norms
from unet.models import geometry_of
from unet.models.filling import filled

OWN_PIXELS = 1 << 17
"""Images of so many pixels get a network that is compiled for their size; smaller ones share one for all sizes.

To compile takes 0.1 to 0.2 s, as long as some ten small images; for large ones it is little, and what is compiled for a
size is faster by up to a third and takes a third less memory."""

MOST_COMPILED = 2
"""Compiled networks that are kept, beside that for all sizes; each holds its weights."""

BUSY_PIXELS = 1 << 19
"""So many pixels at most are computed beside one another; what is compiled for larger images gives its maps back when
another size is computed."""

_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVINOBackend:
    """A graph computed by OpenVINO, compiled for the sizes that come; see `unet.inference.backends.Backend`.

    Parameters
    ----------
    graph : Graph
        Takes one image (1, C, h, w).
    dtype : torch.dtype
        bfloat16, or float32.
    fill : callable
        Makes of images (1, C, h, w) such as the graph takes, continued on the right and below.
    valid_margin : int
        Pixels that logits lack on each side.
    at_once : int
        Images that several threads want computed at a time; of large ones fewer are, see `BUSY_PIXELS`.

    Notes
    -----
    As many threads as torch has, when a size is compiled for, are shared out between the images that are computed at
    once. What comes out does not depend on what comes beside it, nor on `at_once` but for networks that add up over the
    whole picture.
    """

    name = "openvino"

    def __init__(
        self,
        graph: Graph,
        dtype: torch.dtype,
        fill: Callable[[Tensor], Tensor] = lambda images: images,
        valid_margin: int = 0,
        at_once: int = 1,
    ) -> None:
        self.graph, self.dtype, self.fill, self.valid_margin = graph, dtype, fill, valid_margin
        self.at_once = at_once
        self._compiled: OrderedDict[tuple[int, int] | None, Any] = OrderedDict()
        self._lock = Lock()

    @classmethod
    def from_bundle(cls, bundle: Bundle, dtype: torch.dtype, at_once: int = 1) -> OpenVINOBackend:
        """Return a model's network, read from the cache where it is there, else converted.

        Raises
        ------
        Exception
            What torch and OpenVINO raise on networks that cannot be converted.
        """
        spec = bundle.spec
        graph = recalled(key_of(spec, bundle.state), lambda: converted(fold_norms(bundle.network()), spec))
        return cls(graph, dtype, partial(filled, spec=spec), geometry_of(spec).valid_margin, at_once)

    def in_float32(self) -> OpenVINOBackend:
        """Return the same network computed in float32."""
        return OpenVINOBackend(self.graph, torch.float32, self.fill, self.valid_margin, self.at_once)

    def __call__(self, images: Tensor, /) -> Tensor:
        """See `unet.inference.backends.Backend`."""
        height, width = (side - 2 * self.valid_margin for side in images.shape[2:])
        logits = [self._logits(self.fill(images[n : n + 1])) for n in range(len(images))]
        return (logits[0] if len(logits) == 1 else torch.cat(logits))[..., :height, :width]

    def _logits(self, image: Tensor) -> Tensor:
        with self._lock:
            compiled = self._for_size(image.shape[2], image.shape[3])
            if self._count(image.shape[2], image.shape[3]) == 1:
                return _inferred(compiled, image)
        return _inferred(compiled, image)

    def _count(self, height: int, width: int) -> int:
        """Return how many images of a size are computed at once."""
        return max(1, min(self.at_once, BUSY_PIXELS // max(1, height * width)))

    def _for_size(self, height: int, width: int) -> Any:
        """Return the network compiled for images of a size; others give back what they need not keep."""
        size = (height, width) if height * width >= OWN_PIXELS else None
        compiled = self._compiled.get(size)
        for other, held in self._compiled.items():
            if other is not None and other != size and other[0] * other[1] >= BUSY_PIXELS:
                held.release_memory()
        if compiled is None:
            if size is not None and len(sizes := [each for each in self._compiled if each]) >= MOST_COMPILED:
                del self._compiled[sizes[0]]  # before the next one takes its memory
            compiled = self._compiled[size] = self._compile(size)
        self._compiled.move_to_end(size)
        return compiled

    def _compile(self, size: tuple[int, int] | None) -> Any:
        model = self.graph.model
        bands = model.input(0).get_partial_shape()[1]
        model = model.clone()
        model.reshape([1, bands, *(size or (-1, -1))])
        settings = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[self.dtype],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": min(torch.get_num_threads(), self._count(*(size or (0, 0)))),
            "ENABLE_CPU_PINNING": False,  # or two processes share one processor, and the others idle
        }
        compiled = core().compile_model(model, "CPU", settings)
        self.graph.rest()
        return compiled


def _inferred(compiled: Any, image: Tensor) -> Tensor:
    """Return what a compiled network makes of an image; several threads may ask at once."""
    outputs = compiled.create_infer_request().infer({0: image.contiguous().numpy()}, share_inputs=True)
    return torch.from_numpy(outputs[0])
