"""requirements.txt, Dockerfile and .dockerignore: in step with the package, as far as it shows without an engine."""

from __future__ import annotations

import re
import shlex
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions: word and rest."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def ignored(path: str) -> bool:
    """Return whether Docker leaves a path out: the last line that matches counts, for what is inside a folder too."""
    left_out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = path.split("/")
        heads = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        if pattern.startswith("**/"):
            matches = any(fnmatch(part, pattern[3:]) for part in parts)
        else:
            matches = any(fnmatch(head, pattern) for head in heads if head.count("/") == pattern.count("/"))
        if matches:
            left_out = not line.startswith("!")
    return left_out


def test_requirements_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines == [*project["dependencies"], *extras["track"], *extras["viz"]]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    sources = [source for word, rest in instructions() if word == "COPY" for source in shlex.split(rest)[:-1]]
    assert {"src", "recipes", "train.py", "hubconf.py", "scripts", "constraints.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists() and not ignored(source), source
    files = ("LICENSE", "README.md", "pyproject.toml", "src/unet/cli/__init__.py", "scripts/download_data.py")
    assert not any(ignored(file) for file in files)
    private = (".git/config", ".venv/bin/python", "data/imgs/a.jpg", "runs/a/run.json", "checkpoints/a.pth", ".env",
               "src/unet/__pycache__/config.cpython-312.pyc", "wandb/x")  # fmt: skip
    assert all(ignored(file) for file in private)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = [project["project"]["readme"], *project["project"]["license-files"]]
    needed += project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert set(needed) <= set(sources), "the wheel is built of these"


def test_the_image() -> None:
    found = instructions()
    words = [word for word, _ in found]
    given = dict(found)
    assert words[:2] == ["ARG", "FROM"] and given["FROM"] == "${BASE}"
    assert given["ARG"] == "TORCH_INDEX", "without a default"
    assert given["USER"] == "1000" and words.index("USER") > max(n for n, word in enumerate(words) if word == "RUN")
    assert "useradd --create-home --uid 1000 unet" in next(rest for _, rest in found if "useradd" in rest)
    folders = {f"/workspace/unet/{name}" for name in ("data", "runs", "checkpoints")}
    assert set(re.findall(r'"([^"]+)"', given["VOLUME"])) == folders
    assert "--shm-size=8g --ulimit memlock=-1" in (ROOT / "Dockerfile").read_text()
    line = next(rest for _, rest in found if "grep '^torch=='" in rest)
    pins = [pin for pin in (ROOT / "constraints.txt").read_text().splitlines() if pin.startswith("torch==")]
    assert len(pins) == 1 and ";" not in pins[0] and "--no-deps" in line
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (installed,) = re.findall(r'"\.\[([^]]+)\]"', " ".join(rest for _, rest in found))
    assert set(installed.split(",")) <= set(extras)


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore", "requirements.txt", "constraints.txt"])
def test_no_host_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"https?://|\b[\w-]+\.(com|org|io|net|dev)\b", text)
