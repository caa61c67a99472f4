"""Whether Weights & Biases is written to online or on this machine, and how a run gets from here to there."""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

SERVER = "https://api.wandb.ai"


def wandb_mode(environment: Mapping[str, str] = os.environ) -> Literal["offline"] | None:
    """Return "offline" where there is no account and nothing else was said, else None: what W&B itself makes of it.

    Without an account W&B would ask for one at the terminal, or refuse, and a training is not to wait for either.
    """
    if environment.get("WANDB_MODE") or has_account(environment):
        return None
    return "offline"


def has_account(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a key for W&B's server is there: in the environment, or in .netrc, where `wandb login` puts it."""
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    server = urlsplit(environment.get("WANDB_BASE_URL") or SERVER).netloc
    places = [environment["NETRC"]] if environment.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for place in places:
        try:
            if netrc.netrc(os.path.expanduser(place)).authenticators(server):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def upload_hint(run: Path) -> str:
    """Return the command that uploads what W&B wrote into a run folder offline; nothing where there is nothing."""
    offline = sorted((run / "wandb").glob("offline-run-*"))
    if not offline:
        return ""
    return "tracking: wandb wrote on this machine; upload by: wandb sync " + " ".join(f'"{path}"' for path in offline)
