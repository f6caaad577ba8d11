"""The Java libraries of the embedded Kafka: named and hashed in ``jars.lock``, kept in a per-user cache.

``jgo`` knows where jars live and fetches them; what a jar must contain is this repository's business: ``jars.lock`` holds the
size and SHA-256 of each. A jar enters the cache by an atomic rename after its hash was found right, so presence means
verified, and a start with a full cache opens no connection.

    python -m engine.embedded.jars > engine/embedded/jars.lock      # after a change of a version: resolve and hash anew
"""

import hashlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.embedded.failure import StartFailure

CACHE_VARIABLE = "STATEHOUSE_CACHE_DIR"
LOCK_FILE = Path(__file__).with_name("jars.lock")
# slf4j-simple: Kafka's published dependencies name no logging backend; this one writes to stderr in 15 KB.
ROOTS = {
    "kafka": ("org.apache.kafka:kafka_2.13:4.4.0", "org.slf4j:slf4j-simple:1.7.36"),
    "streams": (
        "org.apache.kafka:kafka-streams:4.3.1",
        "org.apache.kafka:kafka-streams-test-utils:4.3.1",
        "org.slf4j:slf4j-simple:1.7.36",
    ),
}
DOWNLOADS_AT_ONCE = 6
ATTEMPTS = 3
TIMEOUT_SECONDS = 15

# Told the number of bytes that have just arrived.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: which sets it belongs to, its Maven coordinate, size in bytes and SHA-256 in hex."""

    sets: tuple[str, ...]
    coordinate: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The jar's name in the cache; the group is in it, since two groups may use one artifact name."""
        return self.coordinate.replace(":", "_") + ".jar"


def locked(set_name: str) -> list[Jar]:
    """Return the jars of ``set_name`` (a key of ``ROOTS``) in class-path order."""
    jars = []
    for line in LOCK_FILE.read_text().splitlines():
        if line and not line.startswith("#"):
            sets, coordinate, size, sha256 = line.split()
            jars.append(Jar(tuple(sets.split(",")), coordinate, int(size), sha256))
    return [jar for jar in jars if set_name in jar.sets]


def cache_directory() -> Path:
    """Return the per-user cache: ``STATEHOUSE_CACHE_DIR``, else the platform's own place for caches."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "statehouse"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "statehouse"


def missing(set_name: str) -> list[Jar]:
    """Return the jars of ``set_name`` that the cache lacks; touches no network."""
    return [jar for jar in locked(set_name) if not _cached(jar).exists()]


def classpath(set_name: str) -> str:
    """Return the Java class path of ``set_name``; every jar must be in the cache (see :func:`fetch`)."""
    return os.pathsep.join(str(_cached(jar)) for jar in locked(set_name))


def fetch(jars: Iterable[Jar], progress: Progress = lambda _count: None) -> None:
    """Download ``jars`` into the cache, a few at once, each verified.

    Raises :class:`StartFailure` when one can't be had; what has arrived stays, so that the next try goes on from there.
    """
    folder = cache_directory() / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    given_up = threading.Event()

    def count(size: int) -> None:
        # Called within each download: the way to end one that nobody waits for any more.
        if given_up.is_set():
            raise InterruptedError("given up")
        progress(size)

    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        running = [pool.submit(_fetch_one, jar, folder, count) for jar in jars]
        try:
            for done in as_completed(running):
                done.result()
        except BaseException:
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _cached(jar: Jar) -> Path:
    return cache_directory() / "jars" / jar.file_name


def _fetch_one(jar: Jar, folder: Path, progress: Progress) -> None:
    """Fetch one jar through jgo into a folder of its own, check it, and move it to its place."""
    trouble = ""
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(dir=folder, prefix="partial-") as partial:
            arrived = 0

            def count(size: int) -> None:
                nonlocal arrived
                arrived += size
                progress(size)

            try:
                path = _download(jar.coordinate, Path(partial), count)
            except InterruptedError:
                raise
            except Exception as error:  # noqa: BLE001 (requests, urllib3 and jgo raise many kinds; all mean "try again")
                trouble = _first_line(error)
            else:
                found = _sha256(path)
                if found == jar.sha256:
                    path.replace(folder / jar.file_name)
                    return
                trouble = (
                    f"the file that arrived is not the expected one (SHA-256 {found[:12]}…, not {jar.sha256[:12]}…)"
                )
            progress(-arrived)
    raise StartFailure(
        f"The Kafka library {jar.coordinate} could not be downloaded: {trouble}. "
        "Connect this machine to the network (or let it reach its Maven mirror) and start again: what has arrived is kept, "
        "and once all of it has, no start needs the network."
    )


def _download(coordinate: str, repository: Path, progress: Progress) -> Path:
    """Fetch one artifact with jgo's pure Python resolver into ``repository``; return the file."""
    # Imported here: jgo and requests take a third of a second, which a start with a full cache need not spend.
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    @contextmanager
    def report(_name: str, _size: int) -> Iterator[Progress]:
        yield progress

    context = MavenContext(
        resolver=PythonResolver(progress_callback=report), repo_cache=repository, timeout=TIMEOUT_SECONDS
    )
    group, artifact, version = coordinate.split(":")
    path = context.resolver.download(context.project(group, artifact).at_version(version).artifact())
    if path is None:
        raise RuntimeError("no repository has it")
    return Path(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    kind = type(error).__name__
    if kind in {"ConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "SSLError"}:
        return f"the Maven repository can't be reached ({kind})"
    lines = str(error).splitlines()
    return lines[0][:200] if lines else kind


def _resolve() -> Iterator[str]:
    """Yield the lines of a new lock: every root's runtime dependencies, downloaded and hashed."""
    from jgo.maven import Dependency, MavenContext, PythonResolver  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(resolver=PythonResolver(), repo_cache=Path(folder), timeout=TIMEOUT_SECONDS)
        sets: dict[str, list[str]] = {}
        for name, roots in ROOTS.items():
            for root in roots:
                group, artifact, version = root.split(":")
                asked = Dependency(context.project(group, artifact).at_version(version).artifact())
                inputs, transitive = context.resolver.resolve([asked])
                for found in [*inputs, *transitive]:
                    members = sets.setdefault(f"{found.groupId}:{found.artifactId}:{found.version}", [])
                    if name not in members:
                        members.append(name)
        for coordinate, members in sets.items():
            target = Path(folder) / "hashed"
            path = _download(coordinate, target, lambda _count: None)
            yield f"{','.join(members)} {coordinate} {path.stat().st_size} {_sha256(path)}"
            shutil.rmtree(target)


if __name__ == "__main__":
    print("# sets, coordinate, size in bytes, SHA-256; written by: python -m engine.embedded.jars")  # noqa: T201
    for written in _resolve():
        print(written)  # noqa: T201
