"""Which run of Weights & Biases a run folder belongs to, and up to which step that was told of."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from unet import files
from unet.errors import ConfigError
from unet.parsing import as_dataclass

FILE = "wandb.json"


@dataclass(frozen=True)
class WandbNote:
    """The id of a W&B run, the last step that it knows, and the last one whose validation it knows.

    W&B takes steps in rising order only. A run that was killed goes on from its last state, before steps that were
    told already: they are not told again, neither online nor to files on this machine. A validation that was killed
    comes again where its step is known already: it is told one step later than all that is known.
    """

    id: str = ""
    step: int = 0
    validated: int = 0

    @classmethod
    def read(cls, folder: Path) -> WandbNote:
        """Return what a run folder knows; nothing, where it was not tracked there or the note cannot be read."""
        try:
            return as_dataclass(cls, json.loads((folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError, ConfigError):
            return cls()

    def write(self, folder: Path) -> None:
        """Write it down."""
        files.write_json(folder / FILE, asdict(self))
