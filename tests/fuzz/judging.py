"""What must hold of every case: no traceback, one line of error, nothing harmed, nothing written but what was named."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from pathlib import Path

from .cases import OUT, Case
from .children import CPU_SECONDS, MOST_RESIDENT, Ended

Listing = dict[str, str]

DEFAULTS = ("inspect-", "plan-", "augment-", "predicted", "runs")
"""Names of what is written where no place is named."""


def listing(root: Path) -> Listing:
    """Return what lies below a folder: each name with a hash of what it holds; links are not followed."""
    found: Listing = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            key = os.path.relpath(path, root)
            if path.is_symlink():
                found[key] = f"-> {os.readlink(path)}"
            elif path.is_dir():
                found[key] = "folder"
            else:
                found[key] = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    return found


def faults_of(case: Case, ended: Ended, before: Listing, after: Listing) -> list[str]:
    """Return what is wrong with how a case came to its end, in words that stay the same for the same fault."""
    faults = []
    if ended.code == -signal.SIGXCPU or ended.code == -signal.SIGKILL:
        faults.append(f"took more than {CPU_SECONDS} s, or more time or memory than it may")
    elif ended.code < 0:
        faults.append(f"died of {signal.Signals(-ended.code).name}")
    elif ended.code not in (0, 2):
        faults.append(f"exit code {ended.code}: {_last(ended.err)}")
    if "Traceback (most recent call last)" in ended.err + ended.out:
        faults.append(f"a traceback: {_last(ended.err)}")
    complaints = [line for line in ended.err.splitlines() if re.match(r"unet( [a-z-]+)?: ", line)]
    if len(complaints) > 1:
        faults.append(f"{len(complaints)} lines of error")
    if ended.code == 2 and not complaints:
        faults.append(f"exit code 2 without a line that says why: {_last(ended.err)}")
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e]", (ended.err + ended.out).replace("\r\n", "\n")):
        faults.append("characters that steer a terminal are printed")
    if ended.resident > MOST_RESIDENT:
        faults.append(f"took {ended.resident >> 20} MiB")
    faults += [
        f"changed an input: {name}" for name in before if _is_held(case, name) and after.get(name) != before[name]
    ]
    new = [name for name in after if name not in before and _is_held(case, name)]
    faults += [f"wrote {name}" for name in new if not _is_named(case, name, before)][:3]
    return faults


def _is_held(case: Case, name: str) -> bool:
    """Tell whether the command must leave a name alone."""
    first = name.split(os.sep)[1] if name.startswith("case" + os.sep) else name
    if name in ("case", "cache") or name.startswith("cache" + os.sep):
        return False
    return not (first.removeprefix(".").startswith((OUT, *DEFAULTS)) or first in case.may_change)


def _is_named(case: Case, name: str, before: Listing) -> bool:
    """Tell whether a new file or folder is what an argument names, or is called after that."""
    if not name.startswith("case" + os.sep):
        return False
    first = name.split(os.sep)[1]
    stems = {Path(word).parts[0].partition(".")[0] for word in case.argv if Path(word).parts}
    return os.path.join("case", first) not in before and any(stem and first.startswith(stem) for stem in stems)


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return re.sub(r"\d{4,}|0x[0-9a-f]+", "#", lines[-1])[:200] if lines else "nothing was printed"
