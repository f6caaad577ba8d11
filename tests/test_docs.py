"""The documentation says what is so: its programs run, and every name, link, command and setting in it exists."""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from engine.config import ENVIRONMENT_PREFIX, EngineConfig
from engine.embedded import options as up_options

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
# Tests and the documentation itself prove nothing about a name.
SOURCES = [ROOT / "manage.py", *(ROOT / "engine").rglob("*.py"), *(ROOT / "console").rglob("*.py")]
ENGINE_FIELDS = {field.name for field in dataclasses.fields(EngineConfig)}
# Set in one file and read from there by another of these.
DEPLOYMENT = ("compose.yaml", "Dockerfile", ".env.example")

ids = {"ids": lambda page: str(page.relative_to(ROOT))}


def programs(marker: str) -> dict[str, str]:
    """The README's programs under ``<!-- marker: file name -->``, by file name."""
    found = re.findall(rf"<!-- {marker}: (\S+) -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no program marked {marker!r}"
    return dict(found)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_the_readmes_application_runs_and_its_test_passes(tmp_path, monkeypatch):
    found = programs("runs")
    for name, program in found.items():
        (tmp_path / name).write_text(program, encoding="utf-8")
        monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    tests = [value for key, value in vars(import_module("test_shop")).items() if key.startswith("test_")]
    assert tests
    for test in tests:
        test()
    for name in found:
        monkeypatch.delitem(sys.modules, Path(name).stem)


@pytest.mark.parametrize("name", programs("checked"))
def test_every_import_of_the_readmes_other_programs_is_there(name):
    for node in ast.walk(ast.parse(programs("checked")[name])):
        if isinstance(node, ast.ImportFrom):
            module = import_module(str(node.module))
            assert [each.name for each in node.names if not hasattr(module, each.name)] == []


def test_the_readmes_application_is_about_twenty_lines():
    assert len(programs("runs")["shop.py"].splitlines()) <= 21


def variables_read() -> set[str]:
    """Every environment variable that the code reads by its name, and every setting of an engine."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    named = set(re.findall(r"[\"'](?:\$)?([A-Z][A-Z0-9]*_[A-Z0-9_]+)[\"']", text))
    # envsecret("NAME") also reads NAME_FILE.
    named |= {f"{name}_FILE" for name in re.findall(r"envsecret\(\"([A-Z_]+)\"\)", text)}
    return named | {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in ENGINE_FIELDS}


@pytest.mark.parametrize("page", [*PAGES, *(ROOT / name for name in DEPLOYMENT)], **ids)
def test_every_environment_variable_named_is_read_by_the_code(page):
    text = text_of(page)
    named = set(re.findall(r"\b(?:STATEHOUSE|ENGINE|KAFKA|REDIS|DATABASE)_[A-Z][A-Z_]*[A-Z]\b", text))
    if page.name in DEPLOYMENT:
        # Kafka's own settings, what Redis is started with, and what compose only passes on under another name.
        passed_on = {"REDIS_PASSWORD", "ENGINE_TOKEN", "STATEHOUSE_PORT"}
        named = {
            name for name in named if not name.startswith("KAFKA_") or name == "KAFKA_BOOTSTRAP_SERVERS"
        } - passed_on
    assert named - variables_read() == set()


def test_compose_asks_for_nothing_that_the_example_lacks():
    wanted = set(re.findall(r"\$\{([A-Z_]+)", text_of(ROOT / "compose.yaml")))
    wanted |= set(re.findall(r"\{environment: ([A-Z_]+)\}", text_of(ROOT / "compose.yaml")))
    assert wanted == set(re.findall(r"^([A-Z_]+)=", text_of(ROOT / ".env.example"), re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, **ids)
def test_every_link_within_the_project_leads_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        where = (page.parent / path).resolve() if path else page
        if not where.exists() or (anchor and anchor not in anchors(where)):
            broken.append(target)
    assert broken == []


def options_of(command: str) -> set[str]:
    parser = ArgumentParser(add_help=False)
    if command == "up":
        up_options.add(parser)
    else:
        load_command_class(get_commands()[command], command).add_arguments(parser)
    found: set[str] = set()
    waiting = [parser]
    while waiting:
        for action in waiting.pop()._actions:
            found |= set(action.option_strings)
            if isinstance(action.choices, dict):
                found |= set(action.choices)
                waiting += [choice for choice in action.choices.values() if isinstance(choice, ArgumentParser)]
    return found


@pytest.mark.parametrize("page", PAGES, **ids)
def test_every_command_named_exists_with_the_options_shown(page):
    lines = text_of(page).replace("\\\n", " ")
    # `manage.py store get|range|…` names several actions; up to the end of the code.
    for command, rest in re.findall(r"manage\.py ([a-z_]+)\b([^\n`#]*)", lines):
        assert command in get_commands(), f"manage.py {command}"
        if command in {"migrate", "check"}:
            continue
        known = options_of(command)
        assert set(re.findall(r"(--[a-z][a-z-]*)", rest)) - known == set(), f"manage.py {command}{rest}"
        if command == "store" and (actions := re.match(r" ([a-z|-]+)", rest)):
            assert set(actions[1].split("|")) - known == set()


def test_every_test_named_exists():
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", text_of(ROOT / "docs" / "testing.md"))
    assert named
    for file, test in named:
        path = ROOT / file if "/" in file else ROOT / "tests/runtime" / file
        assert f"\ndef {test}(" in text_of(path), (file, test)


def test_the_options_of_up_are_all_described():
    section = README.partition("### Options of `up`")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(--[a-z-]+)", section)) == options_of("up")


def test_every_setting_of_an_engine_is_described_once_and_truly():
    table = text_of(ROOT / "docs" / "applications.md").partition("## Settings")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:4]] for row in table.splitlines() if row.startswith("| `")]
    named = [re.findall(r"`([a-z_]+)`", row[0]) for row in rows]
    assert sorted(name for names in named for name in names) == sorted(ENGINE_FIELDS)
    taken = options_of("engine")
    defaults = {field.name: field.default for field in dataclasses.fields(EngineConfig)}
    for names, (_, option, default) in zip(named, rows, strict=True):
        with_option = [name for name in names if f"--{name.replace('_', '-')}" in taken]
        assert with_option == {"yes": names, "": [], "the first": names[:1]}[option], names
        if len(names) == 1 and re.fullmatch(r"-?\d+( MiB)?", default):
            number, _, unit = default.partition(" ")
            assert defaults[names[0]] == int(number) * (1024 * 1024 if unit else 1), names


def test_public_names_in_the_programs_are_public():
    import engine

    for program in [*programs("runs").values(), *programs("checked").values()]:
        for node in ast.walk(ast.parse(program)):
            if isinstance(node, ast.ImportFrom) and node.module == "engine":
                assert {each.name for each in node.names} <= set(engine.__all__)


def test_each_operator_named_is_a_method():
    from engine import StreamsBuilder, serdes
    from engine.topology.grouped import GroupedStream, GroupedTable
    from engine.topology.stream import Stream
    from engine.topology.suppliers import Stores
    from engine.topology.table import Table
    from engine.topology.windowed import WindowedStream

    text = text_of(ROOT / "docs" / "applications.md")
    owners = {
        "`StreamsBuilder`": StreamsBuilder,
        "stream": Stream,
        "grouped stream": GroupedStream,
        "windowed stream": WindowedStream,
        "table": Table,
        "grouped table": GroupedTable,
    }
    rows = [
        row.strip("| ").split(" | ") for row in text.partition("## Operators")[2].splitlines() if row.startswith("|")
    ]
    described = {row[0]: re.findall(r"`([a-z_]+)`", row[1]) for row in rows if row[0] in owners}
    assert set(described) == set(owners)
    missing = [f"{on}.{name}" for on, names in described.items() for name in names if not hasattr(owners[on], name)]
    suppliers = text.partition("## Stores")[2].partition("## Serdes")[0]
    missing += [
        f"Stores.{name}"
        for row in suppliers.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])
        if not hasattr(Stores, name)
    ]
    missing += [f"serdes.{name}" for name in re.findall(r"`serdes\.([a-z_]+)", text) if not hasattr(serdes, name)]
    assert missing == []


def test_the_pages_name_no_machine_and_no_registry():
    told = re.compile(r"/(?:home|work|tmp|root|Users)/|pypi\.org|files\.pythonhosted|registry\.npmjs|repo1?\.maven")
    assert [f"{page.name}: {hit}" for page in PAGES for hit in told.findall(text_of(page))] == []


def test_the_picture_is_small():
    assert 0 < (ROOT / "docs" / "screenshot.png").stat().st_size < 300_000
