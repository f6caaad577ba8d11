"""`manage.py store`: read a running application's stores from the command line, as tables or as JSON."""

import json
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Self

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.query import questions, sheets
from engine.query.client import QueryClient, Retry
from engine.query.finding import Target, find_target
from engine.query.questions import Call
from engine.query.results import Page, QueryError
from engine.query.terminal import cell, entry_json, entry_row, failures, instant

_HELP = """Read a store: get, range, prefix, window, session, as-of, versions, largest, count, rocksdb, export.
Finds the engine of `manage.py up` by itself (--data-dir); elsewhere give --address and --token-file."""

_COPIES_WIDTH = 140
_UNKNOWN = "\N{EN DASH}"


class Command(BaseCommand):
    """Reads stores over the engine's query service."""

    help = _HELP
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        get = _action(actions, "get", "the entry of a key")
        get.add_argument("key")
        between = _action(actions, "range", "keys from FROM to TO, both inclusive; all without them")
        between.add_argument("from_key", nargs="?", metavar="FROM")
        between.add_argument("to_key", nargs="?", metavar="TO")
        prefix = _action(actions, "prefix", "keys that begin with PREFIX")
        prefix.add_argument("prefix")
        for name, what in (("window", "windows that start"), ("session", "sessions that overlap")):
            timed = _action(actions, name, f"{what} from --from-ms to --to-ms")
            timed.add_argument("key", nargs="?")
            timed.add_argument("--from-ms", type=int)
            timed.add_argument("--to-ms", type=int)
        as_of = _action(actions, "as-of", "the version of a key that was valid at a time")
        as_of.add_argument("key")
        as_of.add_argument("time_ms", type=int)
        versions = _action(actions, "versions", "the versions of a key, newest first")
        versions.add_argument("key")
        versions.add_argument("--from-ms", type=int)
        versions.add_argument("--to-ms", type=int)
        versions.add_argument("--limit", type=int, default=100, help="at most so many versions (0: all)")
        largest = _action(actions, "largest", "the largest entries, as far as a bounded look goes")
        largest.add_argument("--limit", type=int, default=20, help="so many entries, at most 100")
        largest.add_argument("--partition", type=int)
        _action(actions, "count", "about how many keys")
        rocksdb = _action(actions, "rocksdb", "how each partition lies on disk: levels, compaction, memtables")
        rocksdb.add_argument("--partition", type=int)
        export = _action(actions, "export", "every entry as JSON Lines, CSV or Parquet, on standard output or in --out")
        export.add_argument("--out", type=Path)
        export.add_argument(
            "--format",
            choices=tuple(sheets.SHEETS),
            default="jsonl",
            help="jsonl (default), csv, or parquet, which needs --out",
        )
        for each in (between, prefix, actions.choices["window"], actions.choices["session"], export):
            each.add_argument("--reverse", action="store_true")
            each.add_argument("--partition", type=int)
            each.add_argument(
                "--where", help='only entries for which this holds, such as: value.flights > 40 and key startswith "U"'
            )
        for each in (between, prefix, actions.choices["window"], actions.choices["session"]):
            each.add_argument("--limit", type=int, default=100, help="at most so many entries (0: all)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and show."""
        try:
            target = find_target(
                options["store"],
                application=options["application"],
                addresses=options["address"],
                token_file=options["token_file"],
                data_dir=_data_dir(options),
            )
            with QueryClient(target.addresses, target.token, retry=Retry(total_ms=options["wait_ms"])) as client:
                self._answer(client, target, options)
        except QueryError as error:
            raise CommandError(f"{error}") from error
        except LookupError as error:
            raise CommandError(str(error.args[0])) from error
        except BrokenPipeError:
            # `manage.py store export … | head`: the reader has what it wanted.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _answer(self, client: QueryClient, target: Target, options: dict[str, Any]) -> None:
        store, action = options["store"], options["action"]
        if action == "count":
            self._count(client, store, as_json=options["json"], max_lag=options["max_lag"])
        elif action == "largest":
            self._largest(client, store, options)
        elif action == "rocksdb":
            self._rocksdb(client, store, options)
        elif action == "export":
            self._export(client, store, options)
        else:
            call = _question(store, options)
            limit = options.get("limit", 0)
            rows, failed, more = self._collect(client, call, limit)
            self._show(rows, as_json=options["json"], title=f"{target.application or ''} {store}".strip())
            if more:
                # Beside the answer, which --json leaves to a program.
                self.stderr.write(f"there are more than {limit}: --limit 0 shows all")
            if failed:
                raise CommandError("incomplete: " + "; ".join(failed))
            if not rows and action in {"get", "as-of", "versions"}:
                raise CommandError(f"no entry of {options['key']!r} in {store}", returncode=3)

    def _collect(
        self, client: QueryClient, call: Call[Page], limit: int
    ) -> tuple[list[dict[str, Any]], list[str], bool]:
        """Rows up to the limit, what did not answer, and whether there may be more rows."""
        rows: list[dict[str, Any]] = []
        failed: list[str] = []
        for page in client.pages(call):
            rows += [entry_json(entry) for entry in page.entries]
            failed += failures(page)
            if limit and len(rows) >= limit:
                return rows[:limit], failed, len(rows) > limit or page.cursor is not None
        return rows, failed, False

    def _show(self, rows: list[dict[str, Any]], *, as_json: bool, title: str) -> None:
        if as_json:
            self.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2))
            return
        table = Table(title=title, title_justify="left")
        for name in ("key", "value", "time"):
            table.add_column(name, overflow="fold")
        for name in ("partition", "bytes"):
            table.add_column(name, justify="right")
        for row in rows:
            # Stored text is not markup, whatever brackets it has.
            table.add_row(*(escape(cell) for cell in entry_row(row)))
        console = Console()
        with console.capture() as captured:
            console.print(table)
        self.stdout.write(captured.get(), ending="")
        self.stdout.write(f"{len(rows)} {'entry' if len(rows) == 1 else 'entries'}")

    def _count(self, client: QueryClient, store: str, *, as_json: bool, max_lag: int | None) -> None:
        counted = client.count(store, max_lag=max_lag)
        if as_json:
            self.stdout.write(json.dumps({"approximate": counted.approximate, "complete": counted.complete}))
        else:
            shown = "unknown" if counted.approximate is None else f"about {counted.approximate:,}"
            self.stdout.write(f"{shown}{'' if counted.complete else ' (some partitions did not answer)'}")
        if not counted.complete:
            raise CommandError("incomplete: " + "; ".join(str(s.error or "no estimate") for s in counted.sources))

    def _largest(self, client: QueryClient, store: str, options: dict[str, Any]) -> None:
        given = {name: options[name] for name in ("limit", "partition", "max_lag", "key_format")}
        found = client.largest(store, **given)
        failed = [f"partition {source.partition}: {source.error}" for source in found.sources if source.error]
        if options["json"]:
            facts = {"scanned": found.scanned, "approximate": found.approximate, "complete": found.complete}
            entries = [{"key": each.key, "size": each.size, "partition": each.partition} for each in found.entries]
            self.stdout.write(json.dumps({"entries": entries, **facts}, ensure_ascii=False, indent=2))
        else:
            for each in found.entries:
                place = f" {instant(bounds.start)}" if (bounds := each.window or each.session) else ""
                self.stdout.write(f"{each.size:>14,} bytes  partition {each.partition:<4} {cell(each.key)}{place}")
            of = "" if found.approximate is None else f" of about {found.approximate:,}"
            self.stdout.write(
                f"looked at {'all ' if found.complete else ''}{found.scanned:,} rows{'' if found.complete else of}"
            )
        if failed:
            raise CommandError("incomplete: " + "; ".join(failed))

    def _rocksdb(self, client: QueryClient, store: str, options: dict[str, Any]) -> None:
        found: dict[str, Any] = {"copies": [], "sources": [], "next": 0}
        while found["next"] is not None:
            place = {"partition": options["partition"]} if options["partition"] is not None else {"from": found["next"]}
            page = client.rocksdb(store, max_lag=options["max_lag"], **place)
            found["copies"] += page["copies"]
            found["sources"] += page["sources"]
            found["next"] = page["next"]
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
        else:
            self.stdout.write(_copies_table(store, found["copies"]), ending="")
        failed = [
            f"partition {each['partition']}: {each['error']['message']}" for each in found["sources"] if each["error"]
        ]
        if failed:
            raise CommandError("incomplete: " + "; ".join(failed))

    def _export(self, client: QueryClient, store: str, options: dict[str, Any]) -> None:
        call = questions.entries(store, limit=1_000, **_common(options))
        kind, out = options["format"], options["out"]
        if kind == "parquet" and out is None:
            raise CommandError("Parquet is not text: name a file with --out")
        count = 0
        standard: Any = _Standard(self.stdout)
        with out.open("wb") if out else standard as file, sheets.SHEETS[kind](file) as sheet:
            for page in client.pages(questions.whole(call)):
                sheet.add([entry_json(entry) for entry in page.entries])
                count += len(page.entries)
        self.stderr.write(f"{count:,} entries exported")


def _copies_table(store: str, copies: list[dict[str, Any]]) -> str:
    table = Table(title=store, title_justify="left")
    table.add_column("partition", justify="right")
    table.add_column("instance")
    table.add_column("levels: files, bytes")
    for name in ("files", "live, about", "to compact, about", "running", "memtables", "keys, about"):
        table.add_column(name, justify="right")
    for copy in copies:
        facts = copy["rocksdb"]
        if facts is None:
            bound = "no bound" if copy["max_bytes"] is None else f"of at most {copy['max_bytes']:,}"
            words = f"in memory: {_figure(copy['bytes'])} bytes, {bound}"
            table.add_row(
                str(copy["partition"]), escape(copy["instance"]), words, *[_UNKNOWN] * 5, _figure(copy["keys_estimate"])
            )
            continue
        levels = ", ".join(f"L{each['level']}: {each['files']}, {each['bytes']:,}" for each in facts["levels"])
        names = (
            "sst_bytes",
            "live_data_bytes",
            "pending_compaction_bytes",
            "running_compactions",
            "memtable_bytes",
            "keys_estimate",
        )
        figures = [_figure(facts[name]) for name in names]
        table.add_row(str(copy["partition"]), escape(copy["instance"]), levels or "no file yet", *figures)
    # Folded into 80 columns the figures could not be read; a terminal that is narrower scrolls or folds by itself.
    console = Console(width=max(Console().width, _COPIES_WIDTH))
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _figure(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


class _Standard:
    """Django's output as a file that is not closed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def write(self, data: bytes) -> None:
        """Write UTF-8 without a further line end."""
        self._stream.write(data.decode(), ending="")


def _action(actions: Any, name: str, what: str) -> ArgumentParser:
    parser: ArgumentParser = actions.add_parser(name, help=what, description=what)
    parser.add_argument("store")
    parser.add_argument("--application", help="which application, where several run (default: the one with this store)")
    parser.add_argument(
        "--address", action="append", help="http://host:port of an instance; may be given several times"
    )
    parser.add_argument("--token-file", type=Path, help="the engine's token (default: $ENGINE_TOKEN_FILE)")
    parser.add_argument("--data-dir", type=Path, help="the data directory of `manage.py up`")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--max-lag", type=int, help="accept copies that are so many records behind")
    parser.add_argument("--key-format", help="read keys in this format instead of the store's")
    parser.add_argument("--value-format", help="show values in this format instead of the store's")
    parser.add_argument(
        "--wait-ms", type=int, default=10_000, help="how long to retry while a partition moves or restores"
    )
    return parser


def _common(options: dict[str, Any]) -> dict[str, Any]:
    names = ("max_lag", "key_format", "value_format", "reverse", "partition", "where")
    return {name: options[name] for name in names if options.get(name) is not None}


def _question(store: str, options: dict[str, Any]) -> Call[Page]:
    common = _common(options)
    limit = options.get("limit")
    if limit is not None:
        common["limit"] = min(limit or 1_000, 1_000)
    action = options["action"]
    if action in {"get", "as-of"}:
        return questions.entries(store, key=options["key"], as_of=options.get("time_ms"), **common)
    match action:
        case "versions":
            return questions.versions(store, options["key"], options["from_ms"], options["to_ms"], **common)
        case "range":
            return questions.between(store, options["from_key"], options["to_key"], **common)
        case "prefix":
            return questions.entries(store, prefix=options["prefix"], **common)
        case "window":
            return questions.windows(store, options["key"], options["from_ms"], options["to_ms"], **common)
        case _:
            return questions.sessions(store, options["key"], options["from_ms"], options["to_ms"], **common)


def _data_dir(options: dict[str, Any]) -> Path | None:
    given = options["data_dir"] or os.environ.get("STATEHOUSE_DATA_DIR")
    return Path(given) if given else None
