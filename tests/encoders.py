"""Tiny random encoders, as `transformers` would build the real ones."""

from __future__ import annotations

import json
from typing import Any

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "resnet": {"embedding_size": 4, "hidden_sizes": [4, 4, 8, 8], "depths": [1, 2, 1, 1], "layer_type": "basic"},
    "bottleneck": {"embedding_size": 4, "hidden_sizes": [8, 8, 16, 16], "depths": [2, 1, 1, 1]},
    "convnextv2": {"hidden_sizes": [4, 4, 8, 8], "depths": [1, 1, 1, 1]},
    "swin": {"embed_dim": 4, "depths": [1, 1, 2, 1], "num_heads": [1, 1, 2, 2], "window_size": 4},
    "segformer": {
        "hidden_sizes": [4, 4, 8, 8], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 2, 2],
        "decoder_hidden_size": 8,
    },
}  # fmt: skip


def configuration(name: str) -> Any:
    """Return a configuration object of transformers."""
    import transformers

    kind = "resnet" if name == "bottleneck" else name
    return transformers.AutoConfig.for_model(kind, **CONFIGURATIONS[name])


def description(name: str) -> str:
    """Return it as it lies in a model file."""
    return json.dumps(configuration(name).to_dict(), sort_keys=True)
