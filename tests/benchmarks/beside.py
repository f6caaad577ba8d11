"""What a restore costs the tasks beside it, and they it: `python -m tests.benchmarks.beside --shares 100 10`.

One engine, which restores a table (that of `restore`) in its thread while a count works through its input. Windows of some
seconds alternate within the one run, so that whatever else the machine does meets all kinds alike: processing alone (the restore
stands still), the restore alone (the tasks stand still), and both at once with each `restore_share_min_percent`; 100 yields to nobody. For
each share two ratios are told: processing beside the restore over processing alone, and the restore beside processing over the restore
alone; medians over the cycles of windows, least and most in brackets.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from engine import Engine, EngineConfig, instance
from engine.config import RESTORE_SHARE_MIN_PERCENT
from engine.embedded.kafka import RunningKafka
from engine.runtime.restore_pace import Pace
from tests.benchmarks import restore, topics, windows
from tests.benchmarks.windows import Window, spread

PROCESSING, RESTORING = "processing alone", "restore alone"
# Where a window begins the other kind's last batch, turn and look are still under way.
SETTLE_SECONDS = 1.0


class HeldPace(Pace):
    """A pace that can be told to stand still, and another share."""

    held = False

    @property
    def wait_seconds(self) -> float:
        """As its class's, but for the time that it is held."""
        return restore.PATIENCE_SECONDS if self.held else super().wait_seconds

    def yield_to(self, kind: str | int) -> None:
        """Run as a kind of window wants it."""
        self._share_min = kind / 100 if isinstance(kind, int) else 1.0
        self.held = kind == PROCESSING


class Beside:
    """An engine whose restore and tasks are let run by turns. `kinds` are the two alone, or a share in per cent."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds

    def ready(self) -> bool:
        """Whether the count works and the table restores."""
        engine = self._engine
        if engine.error is not None:
            raise engine.error
        return hasattr(engine, "loop") and engine.loop.processed_total > 0 and self._restored() > 0

    def over(self) -> bool:
        """Whether a store has come to its end: what follows would be another work."""
        if self._engine.error is not None:
            raise self._engine.error
        return len(self._engine.tasks.take_overs) < len(self._taken)

    def begin(self) -> None:
        """Note which tasks restore."""
        self._taken = dict(self._engine.tasks.take_overs)

    def window(self, kind: str | int) -> Window:
        """Let one kind run."""
        self._engine.restorer.pace.yield_to(kind)
        windows.hold(self._engine, held=kind == RESTORING)
        time.sleep(SETTLE_SECONDS)
        return windows.measure(self._engine, self._seconds)

    def _restored(self) -> int:
        return sum(r.records for w in list(self._engine.tasks.take_overs.values()) for r in w.restores)


def measure(engine: Engine, options: argparse.Namespace) -> dict[str | int, list[Window]]:
    """Windows by kind, as many of each."""
    beside = Beside(engine, options.seconds)
    deadline = time.monotonic() + restore.PATIENCE_SECONDS
    while not beside.ready():
        if time.monotonic() > deadline:
            raise SystemExit("neither the count nor the restore began")
        time.sleep(0.05)
    beside.begin()
    kinds = [PROCESSING, *options.shares, RESTORING]
    found: dict[str | int, list[Window]] = {kind: [] for kind in kinds}
    dice = random.Random(topics.SEED)
    for _ in range(options.cycles):
        # In another order each time: what a window finds depends on the one before it.
        cycle = {kind: beside.window(kind) for kind in dice.sample(kinds, len(kinds))}
        if beside.over() or not cycle[PROCESSING].processed:
            print(f"the input ended after {len(found[PROCESSING])} cycles: more --records or --load give more")
            break
        for kind, window in cycle.items():
            found[kind].append(window)
        rates = {str(k): [round(w.processed_per_second), round(w.restored_per_second)] for k, w in cycle.items()}
        print(f"    {json.dumps(rates)}", flush=True)
    return found


def tell(found: dict[str | int, list[Window]]) -> None:
    """Ratios within each cycle."""
    for share in (kind for kind in found if isinstance(kind, int)):
        both = found[share]
        kept = [b.processed_per_second / a.processed_per_second for a, b in zip(found[PROCESSING], both, strict=True)]
        restored = [b.restored_per_second / a.restored_per_second for a, b in zip(found[RESTORING], both, strict=True)]
        print(f"  share {share:>3} %: processing {spread(kept)} of alone, restore {spread(restored)} of alone")


def main() -> int:
    """Parse the options, start a Kafka, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=int, nargs="+", default=[100, RESTORE_SHARE_MIN_PERCENT])
    parser.add_argument("--cycles", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each window")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--records", type=int, default=3_500_000, help="of each partition of the table")
    parser.add_argument("--load", type=int, default=8_000_000, help="input records of the count")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="statehouse-beside-"))
    try:
        with RunningKafka(directory / "kafka") as kafka:
            restores = restore.Restores(kafka.bootstrap_servers, directory, options)
            restores.fill()
            restores.prepare(loaded=True)
            # With the query service, as in production: it sets how long the interpreter's turns are.
            config = EngineConfig(
                restore.APPLICATION,
                kafka.bootstrap_servers,
                state_dir=directory / "state",
                restore_processes=0,
                replication_factor=1,
            )
            instance.Pace = HeldPace  # type: ignore[misc]
            engine = Engine(restore.build, config)
            engine.start()
            try:
                found = measure(engine, options)
            finally:
                engine.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    tell(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
