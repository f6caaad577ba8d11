"""`manage.py store` against a real service: tables for people, JSON for programs, errors that say what to do."""

import csv
import io
import json

import pyarrow.parquet
import pytest
from django.core.management import CommandError

from engine.management.commands.store import Command
from tests.query.fakes import TOKEN
from tests.query.test_entries import instance_with
from tests.query.test_routing import restoring

PAIRS = [(f"key-{number:04d}", number) for number in range(1_200)]


@pytest.fixture
def served(serve):
    return serve(instance_with([*PAIRS, ("[red]\x1b[31m", 5)]))


@pytest.fixture
def data_dir(tmp_path, served):
    (tmp_path / "engine-token").write_text(TOKEN + "\n")
    processes = [
        {"role": "web", "application": None, "pid": 1, "address": "http://127.0.0.1:1"},
        {"role": "engine-1", "application": "shop", "pid": 2, "address": served.address},
    ]
    (tmp_path / "up.json").write_text(json.dumps({"processes": processes}))
    return tmp_path


@pytest.fixture
def run(data_dir):
    def call(*words, where=data_dir):
        out = io.StringIO()
        err = io.StringIO()
        command = Command(stdout=out, stderr=err, no_color=True)
        action, *rest = words
        arguments = ["--data-dir", str(where), "--wait-ms", "0", *rest]
        options = vars(command.create_parser("manage.py", "store").parse_args([action, *arguments]))
        options.pop("args", None)
        command.handle(**options)
        errors.append(err.getvalue())
        return out.getvalue()

    errors = [""]
    call.err = lambda: errors[-1]
    return call


def test_get_shows_a_row_and_json_shows_an_object(run):
    assert "key-0007" in run("get", "counts", "key-0007")
    assert json.loads(run("get", "counts", "key-0007", "--json")) == [
        {
            "key": "key-0007",
            "value": 7,
            "partition": json.loads(run("get", "counts", "key-0007", "--json"))[0]["partition"],
            "size": 8,
        }
    ]


def test_an_absent_key_is_told_with_a_code_of_its_own(run):
    with pytest.raises(CommandError, match="no entry") as raised:
        run("get", "counts", "none")
    assert raised.value.returncode == 3


def test_range_prefix_and_limit(run):
    assert [row["value"] for row in json.loads(run("range", "counts", "key-0001", "key-0003", "--json"))] != []
    assert sorted(row["value"] for row in json.loads(run("prefix", "counts", "key-000", "--json"))) == list(range(10))
    assert len(json.loads(run("range", "counts", "--json"))) == 100
    assert run.err() == "there are more than 100: --limit 0 shows all\n"
    assert len(json.loads(run("range", "counts", "--json", "--limit", "0"))) == 1_201
    assert run.err() == ""
    assert len(json.loads(run("range", "counts", "--json", "--limit", "1201"))) == 1_201
    assert run.err() == ""
    assert len(json.loads(run("range", "counts", "--json", "--limit", "5", "--reverse", "--partition", "1"))) == 5


def test_a_filter_and_the_largest(run):
    rows = json.loads(run("range", "counts", "--json", "--where", 'value >= 1198 or key = "key-0003"'))
    assert sorted(row["value"] for row in rows) == [3, 1_198, 1_199]
    shown = run("largest", "counts", "--limit", "2")
    assert shown.count("8 bytes") == 2
    assert "looked at all 1,201 rows" in shown
    assert json.loads(run("largest", "counts", "--json"))["complete"] is True


def test_export_writes_every_entry_as_json_lines(run, data_dir):
    run("export", "counts", "--out", str(data_dir / "all.jsonl"))
    written = [json.loads(line) for line in (data_dir / "all.jsonl").read_text().splitlines()]
    assert sorted(row["value"] for row in written if row["key"].startswith("key")) == list(range(1_200))
    assert run("export", "counts").count("\n") == 1_201


def test_count_is_called_approximate(run):
    assert run("count", "counts") == "about 1,201\n"
    assert json.loads(run("count", "counts", "--json")) == {"approximate": 1_201, "complete": True}


def test_stored_text_is_neither_markup_nor_control(run):
    shown = run("prefix", "counts", "[red]")
    assert "[red]" in shown
    assert "\x1b" not in shown


def test_an_incomplete_answer_is_an_error_after_what_there_is(run, served):
    restoring(served.instance.handle("counts", 2))
    with pytest.raises(CommandError, match="partition 2: store-restoring"):
        run("range", "counts", "--limit", "0")
    with pytest.raises(CommandError, match="store-restoring"):
        run("export", "counts")
    with pytest.raises(CommandError, match="incomplete"):
        run("count", "counts")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("get", "nope", "a"), "it has counts"),
        (("window", "counts", "a", "--from-ms", "1"), "window store"),
        (("as-of", "counts", "a", "5"), "versioned"),
        (("versions", "counts", "a"), "versioned"),
        (("range", "counts", "--where", "valu > 3"), "at character 1"),
        (("get", "counts", "zz", "--key-format", "hex"), "hex"),
        (("get", "counts", "a", "--application", "other"), "'other'"),
        (("get", "counts", "a", "--token-file", "/nonexistent"), "--token-file"),
    ],
)
def test_what_cannot_be_answered_is_told_in_words(run, words, says):
    with pytest.raises(CommandError) as raised:
        run(*words)
    assert says in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_without_a_running_stack_it_says_how_to_start(run, tmp_path):
    (tmp_path / "up.json").unlink()
    with pytest.raises(CommandError, match=r"manage\.py up"):
        run("get", "counts", "a")


def test_the_application_with_the_store_is_found_among_several(run, data_dir, serve):
    other = serve()
    described = json.loads((data_dir / "up.json").read_text())
    described["processes"].append({"role": "engine-2", "application": "slow-lane", "pid": 3, "address": other.address})
    (data_dir / "up.json").write_text(json.dumps(described))
    assert "key-0007" in run("get", "counts", "key-0007")
    with pytest.raises(CommandError, match="--application"):
        run("get", "nowhere", "a")


def test_how_partitions_lie_is_a_table_and_json(run):
    shown = run("rocksdb", "counts")
    assert "in memory" in shown
    assert "no bound" in shown
    found = json.loads(run("rocksdb", "counts", "--json"))
    assert [each["partition"] for each in found["copies"]] == [0, 1, 2, 3]
    assert json.loads(run("rocksdb", "counts", "--partition", "2", "--json"))["copies"][0]["partition"] == 2


def test_export_as_csv_is_harmless_in_a_spreadsheet(run):
    rows = list(csv.DictReader(io.StringIO(run("export", "counts", "--format", "csv"))))
    assert len(rows) == 1_201
    assert {row["value"] for row in rows if row["key"] == "key-0007"} == {"7"}
    assert list(rows[0]) == ["partition", "key", "value", "timestamp", "start", "end"]


def test_export_as_parquet_needs_a_file_and_keeps_every_entry(run, data_dir):
    with pytest.raises(CommandError, match="--out"):
        run("export", "counts", "--format", "parquet")
    run("export", "counts", "--format", "parquet", "--out", str(data_dir / "all.parquet"))
    table = pyarrow.parquet.read_table(data_dir / "all.parquet")
    assert table.num_rows == 1_201
    assert table.column("value")[table.column("key").to_pylist().index("key-0007")].as_py() == "7"
