"""Fetch the training pictures and masks of the Carvana challenge from Kaggle into data/imgs and data/masks.

Needs nothing but Python, an account at Kaggle, and that its rules of the challenge have been accepted there.
"""

from __future__ import annotations

import argparse
import base64
import errno
import http.client
import json
import os
import re
import shutil
import ssl
import stat
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CHALLENGE = "carvana-image-masking-challenge"
SITE = "https://www.kaggle.com"
COUNT = 5088
"""Pictures, and masks: 318 cars from 16 sides."""

NAME = re.compile(r"[0-9a-f]{12}_\d\d(_mask)?\.(jpg|gif)")
BLOCK = 1 << 20
TIMEOUT = 60.0


class DownloadError(Exception):
    """What went wrong and what to do about it, in one line."""


class WrongArchive(DownloadError):
    """An archive is not what it should be; nothing was unpacked."""


@dataclass(frozen=True)
class Archive:
    """A zip file of the challenge, and where its files belong."""

    file: str
    folder: str
    ending: str


ARCHIVES = (Archive("train_hq.zip", "imgs", ".jpg"), Archive("train_masks.zip", "masks", ".gif"))


def authorization(environment: Mapping[str, str], home: Path) -> str:
    """Return the header that says who asks: a token, or a name and a key, out of the environment or a file.

    A token stands in KAGGLE_API_TOKEN or in access_token, a name and a key in KAGGLE_USERNAME and KAGGLE_KEY or in
    kaggle.json, as Kaggle's own client looks for them.

    Raises
    ------
    DownloadError
        There are none, or the file is not one of credentials.
    """
    folder = Path(environment.get("KAGGLE_CONFIG_DIR") or home / ".kaggle")
    name, key = environment.get("KAGGLE_USERNAME"), environment.get("KAGGLE_KEY")
    token, whose = environment.get("KAGGLE_API_TOKEN", "").strip(), "KAGGLE_API_TOKEN"
    if not token and not (name and key) and (kept := folder / "access_token").is_file():
        token, whose = kept.read_text(encoding="utf-8", errors="replace").strip(), str(kept)
    if token:
        if not re.fullmatch("[!-~]+", token):  # it would break the request, and be printed with the reason
            raise DownloadError(f"{whose} is no token; expected one line of letters, digits and signs")
        return f"Bearer {token}"
    file = folder / "kaggle.json"
    if not (name and key):
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            name, key = str(stored["username"]), str(stored["key"])
        except FileNotFoundError:
            raise DownloadError(
                f"no credentials for Kaggle; set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, or make a token "
                f"in your account's settings there and put it at {file}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise DownloadError(f'{file} cannot be read; expected {{"username": ..., "key": ...}}') from None
    return "Basic " + base64.b64encode(f"{name}:{key}".encode()).decode()


def fetch(url: str, who: str, target: Path) -> None:
    """Download a file; half a file stays as NAME.part, which the next call goes on with.

    Raises
    ------
    DownloadError
        It is refused, there is no way to the server, or less came than was announced.
    """
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    try:
        answer = _ask(url, who, have)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # there is nothing behind what is here: it is of another file, or whole
            part.unlink()
            return fetch(url, who, target)
        raise DownloadError(_refusal(error.code, target.name)) from None
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{target.name}: no way to {url.split('/')[2]} ({_reason(error)}); try again") from None

    with answer:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        goes_on = answer.status == 206 and span is not None and int(span[1]) == have
        if answer.status == 206 and not goes_on:
            part.unlink(missing_ok=True)
            raise DownloadError(f"{target.name}: the server sent another part than was asked for; try again")
        start = have if goes_on else 0
        length = answer.headers.get("Content-Length", "")
        size = int(span[2]) if goes_on and span else int(length) if length.isdigit() else None
        _require_space(target.parent, (size or start) - start)
        problem = ""
        with part.open("ab" if goes_on else "wb") as file:
            try:
                while block := answer.read(BLOCK):
                    file.write(block)
                    _show(target.name, file.tell(), size)
            except http.client.IncompleteRead as error:
                file.write(error.partial)
            except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
                problem = f" ({_reason(error)})"
        _show(target.name, None, size)
    got = part.stat().st_size
    if size is not None and got > size:
        part.unlink()
        raise DownloadError(f"{target.name}: {got:,} bytes came, {size:,} were announced; try again")
    if problem or (size is not None and got < size):
        whole = "" if size is None else f" of {size:,}"
        raise DownloadError(f"{target.name}: {got:,}{whole} bytes came{problem}; run this again: it goes on from there")
    part.replace(target)


def unpack(path: Path, archive: Archive, folder: Path, count: int) -> int:
    """Put the files of an archive into a folder: all of them, nothing else, and over no other file.

    Returns
    -------
    int
        How many were not there yet.

    Raises
    ------
    WrongArchive
        It is damaged, or holds anything but `count` such files in one folder.
    DownloadError
        Files of those names are there and are others.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            entries = _entries(packed, path, archive, count)
            new = {name: entry for name, entry in entries.items() if not _is_there(folder / name, entry)}
            _require_space(folder, sum(entry.file_size for entry in new.values()))
            with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as beside:
                for name, entry in new.items():
                    with packed.open(entry) as source, (Path(beside) / name).open("xb") as copy:
                        shutil.copyfileobj(source, copy, BLOCK)
                for name in new:
                    if os.path.lexists(folder / name):
                        raise DownloadError(f"{folder / name} has appeared meanwhile; nothing was written over it")
                    os.rename(Path(beside) / name, folder / name)
    except DownloadError:
        raise
    except Exception as error:  # a damaged archive leads `zipfile` astray in many ways, even to places before its start
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise WrongArchive(f"{path} is no whole zip file ({error})") from None
    return len(new)


def _entries(packed: zipfile.ZipFile, path: Path, archive: Archive, count: int) -> dict[str, zipfile.ZipInfo]:
    """Return the files of an archive by name, if they are what is expected."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in packed.infolist():
        inside = PurePosixPath(entry.filename)
        if entry.is_dir() or inside.parts[:1] == ("__MACOSX",) or inside.name == ".DS_Store":
            continue
        kind = stat.S_IFMT(entry.external_attr >> 16)
        plain = kind in (0, stat.S_IFREG) and re.fullmatch(r"([\w-]+/)?[\w-]+\.\w+", entry.filename, re.ASCII)
        if not plain or inside.suffix.lower() != archive.ending or inside.name in entries:
            raise DownloadError(f"{path} holds {entry.filename!a}, which does not belong there; nothing was unpacked")
        entries[inside.name] = entry
    if len(entries) != count:
        raise WrongArchive(f"{path} holds {len(entries)} {archive.ending} files, expected {count}")
    return entries


def _is_there(target: Path, entry: zipfile.ZipInfo) -> bool:
    """Return whether a file is there already, byte for byte; raise if another is."""
    if not os.path.lexists(target):
        return False
    same = target.is_file() and not target.is_symlink() and target.stat().st_size == entry.file_size
    if not same or zlib.crc32(target.read_bytes()) != entry.CRC:
        raise DownloadError(f"{target} is there and is another file; move it away first, nothing was unpacked")
    return True


def _ask(url: str, who: str, have: int) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    request.add_unredirected_header("Authorization", who)  # not for the store of files that Kaggle sends us on to
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    return answer


def _refusal(code: int, file: str) -> str:
    return f"{file}: " + {
        401: "Kaggle does not know these credentials; make a new token in your account's settings there",
        403: f"Kaggle refuses it; accept the rules at {SITE}/c/{CHALLENGE}/rules with the account of these credentials",
        404: "Kaggle has no such file",
    }.get(code, f"Kaggle answered {code}; try again later")


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", error) or type(error).__name__).split())


def _require_space(folder: Path, needed: int) -> None:
    if needed > (free := shutil.disk_usage(folder).free):
        raise DownloadError(f"{folder}: {needed / 1e6:.0f} MB are needed on this disk, {free / 1e6:.0f} are free")


def _show(name: str, done: int | None, size: int | None) -> None:
    if sys.stderr.isatty():
        shown = "" if done is None else f"{name}: {done / 1e6:.0f}" + (f" of {size / 1e6:.0f} MB" if size else " MB")
        print(f"\r{shown:<60}", end="\r" if done is None else "", file=sys.stderr, flush=True)


def download(data: Path, site: str, count: int, environment: Mapping[str, str], home: Path) -> None:
    """Fetch and unpack what is not there yet.

    Parameters
    ----------
    data : Path
        The folder that gets `imgs` and `masks`. Archives that lie in it are taken instead of fetched, and stay.
    site : str
        Where to ask.
    count : int
        How many pictures, and masks, there must be.
    environment, home
        Where the credentials are looked for.

    Raises
    ------
    DownloadError
        Something is missing, refused, or not what it should be.
    """
    for archive in ARCHIVES:
        folder, path = data / archive.folder, data / archive.file
        folder.mkdir(parents=True, exist_ok=True)
        there = sum(1 for file in folder.iterdir() if NAME.fullmatch(file.name) and file.suffix == archive.ending)
        if there == count:
            print(f"{folder}: all {count} files are there already")
            continue
        fetched = not path.exists()
        if fetched:
            url = f"{site}/api/v1/competitions/data/download/{CHALLENGE}/{archive.file}"
            fetch(url, authorization(environment, home), path)
        try:
            new = unpack(path, archive, folder, count)
        except WrongArchive as error:
            if fetched:
                path.unlink()
            raise DownloadError(f"{error}; nothing was unpacked; {'' if fetched else 'delete it, '}try again") from None
        if fetched:
            path.unlink()
        print(f"{folder}: {new} files unpacked, {count} in all")
    check_pairs(data)


def check_pairs(data: Path) -> None:
    """Make sure that every picture has its mask, and every mask its picture.

    Raises
    ------
    DownloadError
        One has none; it is named.
    """
    pictures, masks = (
        {file.stem.removesuffix("_mask") for file in (data / each.folder).iterdir() if NAME.fullmatch(file.name)}
        for each in ARCHIVES
    )
    if alone := sorted(pictures ^ masks):
        missing = "mask" if alone[0] in pictures else "picture"
        raise DownloadError(f"{data}: {alone[0]} has no {missing} ({len(alone)} have none); get both anew")


def main(
    argv: Sequence[str] | None = None,
    *,
    site: str = SITE,
    count: int = COUNT,
    environment: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> int:
    """Parse, download, and return the exit code: 0 done, 2 not, 130 stopped by ctrl-C."""
    parser = argparse.ArgumentParser(prog="download_data", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder that gets imgs and masks (data)")
    args = parser.parse_args(argv)
    try:
        download(args.data, site, count, environment, home or Path.home())
    except DownloadError as error:
        print(f"download_data: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"download_data: error: {error.filename or args.data}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("download_data: stopped by ctrl-C; run this again: it goes on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
