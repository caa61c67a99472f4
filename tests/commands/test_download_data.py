"""scripts/download_data: against a server on this machine that sends archives of a few bytes."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
FOLDERS = {"train_hq.zip": "imgs", "train_masks.zip": "masks"}
COUNT = 3


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("download_data", SCRIPTS / "download_data.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["download_data"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


download_data = load()


def names(file: str, count: int = COUNT) -> list[str]:
    return [f"0cdf5b5d0ce1_{n:02}" + (".jpg" if file == "train_hq.zip" else "_mask.gif") for n in range(1, count + 1)]


def packed(file: str, count: int = COUNT, **more: str) -> bytes:
    """Return an archive as Kaggle's are, and entries more."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir(file.removesuffix(".zip")) if sys.version_info >= (3, 11) else None
        for name in names(file, count):
            archive.writestr(f"{file.removesuffix('.zip')}/{name}", f"content of {name}" * 20)
        for name, content in more.items():
            archive.writestr(name, content)
    return stream.getvalue()


class Kaggle(ThreadingHTTPServer):
    """What the server sends, and what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {file: packed(file) for file in FOLDERS}
        self.codes: dict[str, int] = {}
        self.half: set[str] = set()
        self.ranges = True
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Kaggle

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        file = self.path.rpartition("/")[2]
        self.server.asked.append((self.path, self.headers["Authorization"], self.headers["Range"]))
        if code := self.server.codes.get(file):
            self.send_error(code)
        elif self.path.startswith("/api/"):  # as Kaggle does, to the store of its files
            assert self.path == f"/api/v1/competitions/data/download/carvana-image-masking-challenge/{file}"
            self.send_response(302)
            self.send_header("Location", f"{self.server.address}/store/{file}")
            self.end_headers()
        else:
            self.send(file, self.server.files[file])

    def send(self, file: str, content: bytes) -> None:
        wanted = self.headers["Range"] if self.server.ranges else None
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : len(content) // 2 if file in self.server.half else None])


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with Kaggle() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def call(kaggle: Kaggle, data: Path, environment: dict[str, str] | None = None) -> int:
    given = {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "secret"} if environment is None else environment
    code = download_data.main(
        ["--data", str(data)], site=kaggle.address, count=COUNT, environment=given, home=data.parent
    )
    return int(code)


def refused(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line of a call that must not succeed."""
    assert call(kaggle, data) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("download_data: error: ") and "secret" not in line
    return line


def assert_complete(data: Path) -> None:
    for file, folder in FOLDERS.items():
        assert sorted(path.name for path in (data / folder).iterdir()) == names(file)
        assert (data / folder / names(file)[0]).read_text() == f"content of {names(file)[0]}" * 20
    assert sorted(path.name for path in data.iterdir()) == ["imgs", "masks"], "no archive stays"


def test_into_imgs_and_masks_once(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(kaggle, data) == 0
    assert_complete(data)
    assert len(kaggle.asked) == 4
    for path, who, _ in kaggle.asked:
        assert who == ("Basic bWU6c2VjcmV0" if path.startswith("/api/") else None), "not for the store of files"
    assert call(kaggle, data) == 0
    assert len(kaggle.asked) == 4
    assert "all 3 files are there already" in capsys.readouterr().out


def test_credentials(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(kaggle, data, {}) == 2
    assert "KAGGLE_API_TOKEN" in (line := capsys.readouterr().err) and line.count("\n") == 1
    file = data.parent / ".kaggle" / "kaggle.json"
    file.parent.mkdir()
    for broken in ("", "[1]", '{"username": "me"}'):
        file.write_text(broken)
        assert call(kaggle, data, {}) == 2
        assert "kaggle.json cannot be read" in (line := capsys.readouterr().err) and line.count("\n") == 1
    for broken in ("se\ncret", "s\u00e9cret"):  # nothing of which may be printed
        assert call(kaggle, data, {"KAGGLE_API_TOKEN": broken}) == 2
        assert "KAGGLE_API_TOKEN is no token" in (line := capsys.readouterr().err) and "cret" not in line
    assert not kaggle.asked
    file.write_text(json.dumps({"username": "me", "key": "secret"}))
    assert download_data.authorization({}, data.parent) == "Basic bWU6c2VjcmV0"
    assert download_data.authorization({"KAGGLE_API_TOKEN": "t"}, data.parent) == "Bearer t"
    (file.parent / "access_token").write_text("kept\n", encoding="utf-8")
    assert download_data.authorization({}, data.parent) == "Bearer kept"
    assert download_data.authorization({"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "secret"}, data.parent).startswith(
        "Basic "
    )
    (file.parent / "access_token").unlink()
    assert download_data.authorization({"KAGGLE_CONFIG_DIR": str(file.parent)}, data) == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (401, "does not know these credentials"),
        (403, "accept the rules at https://www.kaggle.com/c/carvana-image-masking-challenge/rules"),
        (404, "no such file"),
        (503, "answered 503; try again later"),
    ],
)
def test_refusals(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str], code: int, expected: str) -> None:
    kaggle.codes["train_masks.zip"] = code
    assert expected in refused(kaggle, data, capsys)
    assert len(list((data / "imgs").iterdir())) == COUNT and not list((data / "masks").iterdir())
    kaggle.codes.clear()
    assert call(kaggle, data) == 0
    assert_complete(data)


def test_no_network(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kaggle.address = "http://127.0.0.1:1"
    assert "train_hq.zip: no way to 127.0.0.1:1 (" in refused(kaggle, data, capsys)


@pytest.mark.parametrize("ranges", [True, False])
def test_half_a_file_is_gone_on_with(
    kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str], ranges: bool
) -> None:
    kaggle.half.add("train_hq.zip")
    kaggle.ranges = ranges
    size = len(kaggle.files["train_hq.zip"])
    expected = f"{size // 2:,} of {size:,} bytes came; run this again: it goes on from there"
    assert expected in refused(kaggle, data, capsys)
    assert not list((data / "imgs").iterdir())
    kaggle.half.clear()
    assert call(kaggle, data) == 0
    assert_complete(data)
    assert kaggle.asked[2][2] == kaggle.asked[3][2] == f"bytes={size // 2}-"


@pytest.mark.parametrize("start", [b"of another file " * 8, b"x" * 100_000])
def test_half_of_another_file(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str], start: bytes) -> None:
    data.mkdir()
    (data / "train_hq.zip.part").write_bytes(start)
    if len(start) < 1000:
        assert "no whole zip file" in refused(kaggle, data, capsys)
        assert not list((data / "imgs").iterdir())
    assert call(kaggle, data) == 0
    assert_complete(data)


WHOLE = packed("train_hq.zip")


@pytest.mark.parametrize(
    "content",
    [b"<html>please sign in</html>", b"", WHOLE[:-30], WHOLE[60:], WHOLE[:100] + b"????" + WHOLE[104:]],
    ids=["html", "empty", "cut at the end", "cut at the start", "another checksum"],
)  # fmt: skip
def test_something_else(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    good = kaggle.files["train_hq.zip"]
    kaggle.files["train_hq.zip"] = content
    if content:
        assert "is no whole zip file" in refused(kaggle, data, capsys)
    else:
        assert call(kaggle, data) == 2
    assert not list((data / "imgs").iterdir())
    kaggle.files["train_hq.zip"] = good
    assert call(kaggle, data) == 0
    assert_complete(data)


@pytest.mark.parametrize(
    "name",
    ["../evil.jpg", "train_hq/../../evil.jpg", "/evil.jpg", "C:\\evil.jpg", "train_hq\\..\\evil.jpg", "a/b/evil.jpg",
     "train_hq/evil.py", "other/0cdf5b5d0ce1_01.jpg", "train_hq/.jpg"],
)  # fmt: skip
def test_nothing_outside(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    kaggle.files["train_hq.zip"] = packed("train_hq.zip", COUNT - 1, **{name: "evil"})
    assert "does not belong there; nothing was unpacked" in refused(kaggle, data, capsys)
    assert not list((data / "imgs").iterdir())
    assert not [path for path in data.parent.rglob("*") if "evil" in path.name]


def test_no_links(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.BytesIO(packed("train_hq.zip", COUNT - 1))
    link = zipfile.ZipInfo("train_hq/link_01.jpg")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    kaggle.files["train_hq.zip"] = stream.getvalue()
    assert "link_01.jpg', which does not belong there" in refused(kaggle, data, capsys)
    assert not list((data / "imgs").iterdir())


def test_wrong_count(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kaggle.files["train_masks.zip"] = packed("train_masks.zip", COUNT - 1)
    assert "train_masks.zip holds 2 .gif files, expected 3; nothing was unpacked" in refused(kaggle, data, capsys)
    assert not list((data / "masks").iterdir()) and not (data / "train_masks.zip").exists()
    (data / "train_masks.zip").write_bytes(packed("train_masks.zip", COUNT + 1))  # put there by the user
    assert "nothing was unpacked; delete it, try again" in refused(kaggle, data, capsys)
    (data / "train_masks.zip").write_bytes(packed("train_masks.zip"))
    assert call(kaggle, data) == 0
    assert (data / "train_masks.zip").exists() and len(list((data / "masks").iterdir())) == COUNT


def test_a_picture_without_its_mask_is_named(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(kaggle, data) == 0
    first, *_ = sorted((data / "imgs").iterdir())
    stranger = first.with_name(first.name.replace(first.name[:4], "ffff"))
    first.rename(stranger)
    capsys.readouterr()
    line = refused(kaggle, data, capsys)
    assert f"{stranger.stem} has no mask" in line or f"{first.stem} has no picture" in line, line
    assert "(2 have none)" in line


def test_files_of_the_user(kaggle: Kaggle, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = data / "imgs" / names("train_hq.zip")[1]
    own.parent.mkdir(parents=True)
    own.write_text("precious")
    (data / "imgs" / "mine.jpg").write_text("mine")
    assert f"{own} is there and is another file; move it away first" in refused(kaggle, data, capsys)
    assert sorted(path.name for path in own.parent.iterdir()) == [own.name, "mine.jpg"]
    assert own.read_text() == "precious"
    own.write_text(f"content of {own.name}" * 20)  # as unpacked before
    asked = len(kaggle.asked)
    assert call(kaggle, data) == 0
    assert len(kaggle.asked) == asked + 2, "the archive that was fetched in vain is taken"
    assert (data / "imgs" / "mine.jpg").read_text() == "mine"
    assert len(list((data / "imgs").iterdir())) == COUNT + 1


def test_for_the_shell_and_for_windows(tmp_path: Path) -> None:
    for script in ("download_data.sh", "download_data.bat"):
        assert "download_data.py" in (SCRIPTS / script).read_text()
    assert (SCRIPTS / "download_data.bat").read_bytes().count(b"\r\n") == 4
    if sys.platform != "win32":
        environment = {"PYTHON": sys.executable, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [SCRIPTS / "download_data.sh"], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("download_data: error: no credentials for Kaggle")
