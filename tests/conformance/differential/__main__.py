"""Random cases through Kafka Streams 4.3.1 and through us: `python -m tests.conformance.differential --seeds 0-99`.

Both get the same inputs; what differs, record by record or in one micro-batch, is made small and shown. Needs a JDK.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance import oracle_run
from tests.conformance.differential.generator import OPS, case
from tests.conformance.differential.kafka_streams import KafkaStreams
from tests.conformance.differential.shrinking import shrunk

MODES = ("each", "batch")
# Inputs of a case that is worth keeping.
SHORT = 24


def difference(answered: dict[str, Any]) -> str | None:
    """How we differ from these answers, or None."""
    for mode in MODES:
        try:
            oracle_run.check(answered, batch=mode == "batch")
        except Exception as error:  # noqa: BLE001 - whatever we raise where Kafka Streams does not is a difference
            shown = traceback.format_exc() if not isinstance(error, AssertionError) else str(error) or repr(error)
            return f"{mode}: {shown}"
    return None


def cases(ops: list[str], seeds: range) -> Iterator[dict[str, Any]]:
    for seed in seeds:
        for op in ops:
            yield case(op, seed)


def _numbers(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.differential", description=__doc__)
    parser.add_argument("--seeds", type=_numbers, default=range(10), metavar="A-B", help="first and last seed (0-9)")
    parser.add_argument("--ops", nargs="*", choices=sorted(OPS), default=list(OPS), metavar="OP", help="default: all")
    parser.add_argument("--check", type=Path, metavar="FILE", help="answer the cases of FILE anew and compare with it")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="append the small differing cases, with their answers"
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="append all cases with their answers, long ones left out"
    )
    parser.add_argument("--shrink", type=int, default=3, metavar="N", help="how many an op to make small (3)")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    different: Counter[str] = Counter()
    kept: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory, KafkaStreams(Path(directory)) as streams:
        if arguments.check:
            return _check(streams, arguments.check)
        for answered in streams.answers(cases(arguments.ops, arguments.seeds)):
            if arguments.write and len(answered["inputs"]) <= SHORT:
                _append(arguments.write, _thinned(answered))
            if difference(answered) is not None:
                different[answered["op"]] += 1
                print(f"{answered['id']} differs", flush=True)
                if different[answered["op"]] <= arguments.shrink:
                    kept.append(answered)
        for answered in kept:
            small = streams.answer(shrunk(answered, lambda smaller: difference(streams.answer(smaller)) is not None))
            print(json.dumps(small, ensure_ascii=False), difference(small), sep="\n", end="\n\n")
            if arguments.keep:
                _append(arguments.keep, small)
    total = len(arguments.ops) * len(arguments.seeds)
    print(
        f"{total} cases, {different.total()} differ", *(f"{op}: {count}" for op, count in different.items()), sep="\n  "
    )
    return 1 if different else 0


def _thinned(answered: dict[str, Any]) -> dict[str, Any]:
    """A third of the cases keep their changelogs, as in the measured file."""
    number = int(answered["id"].split("/d")[1].split("-")[0])
    left_out = {"changelog", "changelogs"} if number % 3 else set()
    return {field: value for field, value in answered.items() if field not in left_out}


def _append(path: Path, case: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")


def _check(streams: KafkaStreams, path: Path) -> int:
    """Whether the Java program reproduces a file of measured answers: what the harness itself is measured by."""
    given = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    wrong = [
        case["id"] for case, answered in zip(given, streams.answers(given), strict=True) if not agrees(case, answered)
    ]
    print(f"{len(given)} cases, {len(wrong)} answered otherwise", *wrong, sep="\n  ")
    return 1 if wrong else 0


def agrees(case: dict[str, Any], answered: dict[str, Any]) -> bool:
    written = {name: rows for name, rows in case.get("changelogs", {}).items() if rows}
    return all(answered.get(field) == value for field, value in case.items() if field != "changelogs") and (
        "changelogs" not in case or answered["changelogs"] == written
    )


if __name__ == "__main__":
    sys.exit(main())
