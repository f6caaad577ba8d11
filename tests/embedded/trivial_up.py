"""A supervisor of trivial parts in a process of its own, for tests to kill: writes its parts' pids, then runs on.

python trivial_up.py PIDS_FILE
"""

import json
import os
import sys
from pathlib import Path

from engine.embedded.part import Part
from engine.embedded.process import Command
from engine.embedded.supervisor import Supervisor

# A part that has a child of its own, and both ignore SIGTERM: the hardest to leave no trace of.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def main() -> None:
    pids = Path(sys.argv[1])
    parts = [
        Part("sleeper", Command([sys.executable, "-c", "import time; time.sleep(600)"], pids.with_name("sleeper.log"))),
        Part("stubborn", Command([sys.executable, "-c", STUBBORN], pids.with_name("stubborn.log"), stop_seconds=60)),
    ]
    supervisor = Supervisor(parts)
    supervisor.start()
    grandchild = int(pids.with_name("stubborn.log").read_text())
    launchers = [one.process._launcher.pid for one in supervisor.parts]
    found = {"parts": [*(one.pid for one in supervisor.parts), grandchild], "launchers": launchers, "up": os.getpid()}
    partial = pids.with_suffix(".partial")
    partial.write_text(json.dumps(found))
    partial.replace(pids)
    supervisor.run(lambda: True)


if __name__ == "__main__":
    main()
