"""Downloading a checkpoint from the Hub, on huggingface-hub's own transfer function.

Its snapshot_download throws away what an interrupted file had (huggingface-hub 2.4 writes to a name used once),
and a file here has gigabytes. So its `http_get` is called on a part file that stays: a download goes on from
where it was left, at the revision where it began, and every file is checked against the Hub's SHA-256 before
the directory gets its name.

Runs in a process of its own (`python -m app.model.catalogue.download REPOSITORY`, which prints a JSON object a
line), so that cancelling is ending a process, and huggingface-hub is never imported where a screen is drawn.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
from huggingface_hub.utils import logging as hub_logging

from app import durable
from app.errors import TidegateError
from app.model.catalogue.catalogue import cached_snapshot, directory_for, fault
from app.model.catalogue.fetch import FetchProgress
from app.model.catalogue.recipes import GIGABYTE, gigabytes
from app.model.engine.process_lock import ProcessLock
from app.model.errors import DownloadFailed, Offline
from app.settings.settings import load_settings

_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "LICENSE*")
_CONNECTIONS = 4  # files fetched at a time
_REPORT_SECONDS = 0.2  # between two reports of progress
_SPARE_BYTES = GIGABYTE
"""What must stay free on the disk."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch; `sha256` is "" for small files that the Hub keeps in git."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What will be fetched, from which commit, into which directory."""

    repository: str
    revision: str
    files: tuple[RemoteFile, ...]
    destination: Path

    @property
    def partial(self) -> Path:
        """Where files lie until all are there."""
        return self.destination.with_name(self.destination.name + ".partial")

    @property
    def total(self) -> int:
        """The size of all files, in bytes."""
        return sum(file.size for file in self.files)

    def arrived(self) -> int:
        """How much is on the disk already, in bytes."""
        return sum(_arrived(self.partial, file) for file in self.files)


def plan_download(repository: str) -> DownloadPlan:
    """Ask the Hub what there is. Raises DownloadFailed."""
    destination = directory_for(repository)
    pinned = destination.with_name(destination.name + ".partial") / "revision"
    begun_at = pinned.read_text(encoding="utf-8").strip() if pinned.is_file() else None
    api = HfApi(endpoint=_endpoint())
    try:
        try:
            information = api.model_info(repository, revision=begun_at, files_metadata=True, timeout=30)
        except RevisionNotFoundError:
            information = api.model_info(repository, files_metadata=True, timeout=30)
    except (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OfflineModeIsEnabled, ValueError) as error:
        raise _explained(repository, error) from None
    files = tuple(
        RemoteFile(entry.rfilename, entry.size or 0, entry.lfs.sha256 if entry.lfs else "")
        for entry in information.siblings or ()
        if "/" not in entry.rfilename and any(fnmatch(entry.rfilename, pattern) for pattern in _WANTED)
    )
    names = {file.name for file in files}
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise DownloadFailed(
            f"{repository} holds no model in safetensors format",
            "choose a repository made for MLX or transformers",
        )
    return DownloadPlan(repository, information.sha or "main", files, destination)


def download(plan: DownloadPlan, report: Callable[[FetchProgress], None]) -> Path:
    """Fetch the missing files and return the finished directory. Raises DownloadFailed."""
    if plan.destination.exists():
        return plan.destination
    missing = plan.total - plan.arrived()
    try:
        plan.partial.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(plan.partial).free
        if missing + _SPARE_BYTES > free:
            raise DownloadFailed(
                f"{plan.repository} needs {gigabytes(missing + _SPARE_BYTES)} more, and "
                f"{plan.partial.parent} has {gigabytes(free)} free",
                "make room, or set TIDEGATE_HOME to a directory on a larger disk",
            )
        lock = ProcessLock(plan.partial / "lock")
    except BlockingIOError:
        raise DownloadFailed(f"{plan.repository} is being downloaded already", "wait for it to end") from None
    except OSError as error:
        raise DownloadFailed(f"{plan.partial} cannot be written ({error})") from None
    try:
        _fetch_all(plan, report)
        for leftover in ("revision", "lock"):
            (plan.partial / leftover).unlink(missing_ok=True)
        durable.install(plan.partial, plan.destination)
    except (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled) as error:
        raise _explained(plan.repository, error) from None
    except OSError as error:
        raise DownloadFailed(
            f"the download of {plan.repository} broke off ({error})",
            "run it again: it goes on where it stopped",
        ) from None
    finally:
        lock.let_go()
    return plan.destination


def _fetch_all(plan: DownloadPlan, report: Callable[[FetchProgress], None]) -> None:
    durable.replace_file(plan.partial / "revision", (plan.revision.encode(),))
    meter = _Meter(plan.arrived(), plan.total, report)
    with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="download") as pool:
        # The small files first: a directory that cannot be run is known before gigabytes are spent on it.
        for done in [
            pool.submit(_fetch, plan, file, meter) for file in sorted(plan.files, key=lambda f: f.size)
        ]:
            try:
                done.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    meter.tell(force=True)


def _fetch(plan: DownloadPlan, file: RemoteFile, meter: "_Meter") -> None:
    finished, part = plan.partial / file.name, _part(plan.partial, file)
    if finished.is_file() and finished.stat().st_size == file.size:
        return
    if part.is_file() and part.stat().st_size > file.size:
        part.unlink()
    url = hf_hub_url(plan.repository, file.name, revision=plan.revision, endpoint=_endpoint())
    while True:
        with part.open("ab") as output:
            before = output.tell()
            try:
                http_get(
                    url,
                    output,
                    resume_size=before,
                    headers=build_hf_headers(),
                    expected_size=file.size,
                    displayed_filename=file.name,
                    tqdm_class=meter.bar,
                )
                break
            except httpx2.TransportError:
                # A long download meets many broken connections: give up only on one that brought nothing.
                if output.tell() <= before:
                    raise
    if file.sha256:
        with part.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != file.sha256:
            part.unlink()
            raise DownloadFailed(
                f"{file.name} arrived damaged and was removed", "run the download again: the rest is kept"
            )
    with part.open("rb") as content:
        durable.sync(content.fileno())
    durable.install(part, finished)


class _Meter:
    """Counts bytes over all connections and reports them now and then."""

    def __init__(self, done: int, total: int, report: Callable[[FetchProgress], None]) -> None:
        self._done, self._total, self._report = done, total, report
        self._told = 0.0
        self._lock = threading.Lock()
        meter = self

        class Bar:
            """As much of a tqdm as http_get uses."""

            def __init__(self, **_: Any) -> None:
                pass

            def __enter__(self) -> "Bar":
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def update(self, count: float) -> None:
                meter.add(int(count))

        self.bar: Any = Bar
        self.tell(force=True)

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
        self.tell()

    def tell(self, force: bool = False) -> None:
        with self._lock:
            now = time.monotonic()
            if not force and now - self._told < _REPORT_SECONDS:
                return
            self._told = now
            self._report(FetchProgress(self._done, self._total))


def _part(directory: Path, file: RemoteFile) -> Path:
    return directory / f"{file.name}.part"


def _arrived(directory: Path, file: RemoteFile) -> int:
    for place in (directory / file.name, _part(directory, file)):
        if place.is_file():
            return min(place.stat().st_size, file.size)
    return 0


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT")


def _explained(repository: str, error: Exception) -> DownloadFailed:
    if isinstance(error, HFValidationError):
        return DownloadFailed(f"{repository!r} is no repository name", "write it as owner/name")
    if isinstance(error, GatedRepoError):
        return DownloadFailed(
            f"{repository} wants its terms accepted first", "accept them on its page, then run: hf auth login"
        )
    if isinstance(error, RepositoryNotFoundError):
        return DownloadFailed(
            f"the Hub has no public model {repository}", "check the name; for a private one run: hf auth login"
        )
    if isinstance(error, OfflineModeIsEnabled):
        return DownloadFailed("huggingface-hub was told to stay offline", "unset HF_HUB_OFFLINE")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        remedy = "run: hf auth login" if status in (401, 403) else "try again later: what has arrived is kept"
        return DownloadFailed(f"the Hub answered with HTTP {status}", remedy)
    if isinstance(error, httpx2.TransportError):
        return DownloadFailed(
            "the Hub cannot be reached", "check the connection and run it again: what has arrived is kept"
        )
    return DownloadFailed("the Hub answered with something that is no model's description", "try again later")


def _here_already(repository: str) -> Path | None:
    """A complete copy on this machine, whoever downloaded it."""
    places = (directory_for(repository), cached_snapshot(repository))
    return next((place for place in places if place is not None and fault(place) is None), None)


def main(arguments: list[str]) -> int:
    """Download arguments[0], printing progress, result or error as JSON objects, a line each."""

    def say(**fields: object) -> None:
        print(json.dumps(fields), flush=True)

    hub_logging.set_verbosity(logging.CRITICAL)
    repository = arguments[0]
    try:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise DownloadFailed(f"{repository!r} is no repository name", "write it as owner/name")
        path = _here_already(repository)
        if path is None:
            if load_settings().offline:
                raise Offline(f"fetching {repository}")
            path = download(plan_download(repository), lambda progress: say(**asdict(progress)))
    except TidegateError as error:
        say(what=error.what, remedy=error.remedy)
        return error.exit_status
    say(path=str(path))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
