"""What the docs say, held against the code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, load_command_class
from django.dispatch import Signal
from django.template import engines

import django_moloco_rmp
from django_moloco_rmp import decorators, exceptions, signals, testing
from django_moloco_rmp.conf import get_settings, problems
from django_moloco_rmp.parsers import DESTINATION_KEYS
from django_moloco_rmp.templatetags import moloco_rmp as tags

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "```python\n" in path.read_text("utf-8"))
CHECK = re.compile(r"moloco_rmp\.[EW]\d{3}")

pytestmark = pytest.mark.docs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "tests/docs/run.py", page, tmp_path / "db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def public_names() -> set[str]:
    """What a shop may import, by the modules it is imported from."""
    names = {"": set(django_moloco_rmp.__all__) - {each.__name__ for each in errors()}}
    names["exceptions"] = {each.__name__ for each in errors()}
    names["signals"] = {name for name, each in vars(signals).items() if isinstance(each, Signal)}
    names["signals"] |= {"connect"}
    names["signals"] -= {"mapped"}  # between connect() and the receivers
    names["decorators"] = {
        name
        for name, each in vars(decorators).items()
        if getattr(each, "__module__", "") == decorators.__name__ and name.islower()
        if not name.startswith("_")
    }
    names["testing"] = set(testing.__all__)
    return {
        ".".join(filter(None, ("django_moloco_rmp", module, name)))
        for module, found in names.items()
        for name in found
    }


def errors() -> list[type[Exception]]:
    return [
        each
        for each in vars(exceptions).values()
        if isinstance(each, type) and issubclass(each, exceptions.MolocoError)
    ]


def test_the_site_is_built_without_a_warning_and_has_each_public_name(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", DOCS, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    # The file that other projects' docs find names by: four lines of text, then names.
    _, _, _, _, content = (tmp_path / "objects.inv").read_bytes().split(b"\n", 4)
    told = {line.split(" ")[0] for line in zlib.decompress(content).decode().splitlines()}
    assert public_names() - told == set()


def test_the_tree_of_errors_is_whole() -> None:
    tree = (ROOT / "README.md").read_text("utf-8").split("## Errors\n")[1].split("```")[1]
    assert set(re.findall(r"\b(\w*Error)\b", tree)) - {"ValueError"} == {
        each.__name__ for each in errors()
    }


def test_each_template_tag_has_its_row_and_can_be_used_so() -> None:
    text = (DOCS / "reference/template-tags.md").read_text("utf-8")
    assert set(re.findall(r"^\| `{% (\w+)", text, re.M)) == set(tags.register.tags)
    views = (DOCS / "howto/views.md").read_text("utf-8")
    examples = re.findall("{% moloco.*? %}", text)
    examples += re.findall(r"```html\+django\n(.*?)```", views, re.S)
    assert len(examples) > len(tags.register.tags)
    for example in examples:
        engines["django"].from_string("{% load moloco_rmp %}" + example)


def test_files_that_the_readme_links_to_are_there() -> None:
    for page in (ROOT / "README.md", ROOT / "CHANGELOG.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text("utf-8")):
            assert (ROOT / target).is_file(), target


def test_pictures_are_in_light_and_dark_and_all_of_them_are_shown() -> None:
    shown = "".join(page.read_text("utf-8") for page in (ROOT / "README.md", *DOCS.rglob("*.md")))
    pictures = {picture.name for picture in (DOCS / "images").iterdir()}
    for picture in pictures:
        assert f"images/{picture})" in shown
        assert picture.replace("-light", "-dark") in pictures
        assert picture.replace("-dark", "-light") in pictures


def test_the_message_of_assert_event_is_as_told() -> None:
    (told,) = re.findall(
        r"```\nAssertionError: (.*?)```", (DOCS / "testing.md").read_text("utf-8"), re.S
    )

    def reported(kind: str, page_id: str, items: list[str], amount: str | None) -> object:
        return django_moloco_rmp.Event(
            id=f"{kind}-{amount}",
            event_type=kind,
            channel_type="SITE",
            timestamp=1_700_000_000_000,
            items=[django_moloco_rmp.Item(sku, quantity=1) for sku in items],
            revenue=None if amount is None else django_moloco_rmp.Money(amount, "EUR"),
            page_id=page_id,
            user_id="u",
        )

    events = [
        reported("ADD_TO_CART", "PRODUCT:lamp", ["lamp"], None),
        reported("PURCHASE", "CART", ["lamp", "sofa"], "1"),
        reported("PURCHASE", "CART", ["lamp", "sofa"], "339.80"),
    ]
    with pytest.raises(AssertionError) as caught:
        testing.assert_event(events, "PURCHASE", revenue="339.80", page_id="CHECKOUT")
    assert str(caught.value).strip() == told.strip()


def test_each_check_has_its_row_and_each_row_its_check() -> None:
    told = CHECK.findall((DOCS / "reference/checks.md").read_text("utf-8"))
    known = CHECK.findall((ROOT / "django_moloco_rmp/checks.py").read_text("utf-8"))
    assert sorted(set(told)) == sorted(set(known))
    assert len(told) == len(set(told))


def test_each_key_of_a_destination_is_told() -> None:
    text = (DOCS / "reference/settings.md").read_text("utf-8").split("## Keys of a destination")[1]
    rows = re.findall(r"^\| (`[^|]+) \|", text.split("\n## ")[0], re.M)
    assert {key for row in rows for key in re.findall("`(.+?)`", row)} == set(DESTINATION_KEYS)


def test_the_settings_of_several_destinations_have_no_fault(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    for name in ("DE", "CH"):
        monkeypatch.setenv(f"MOLOCO_RMP_{name}_PLATFORM_ID", f"SHOP_{name}")
        monkeypatch.setenv(f"MOLOCO_RMP_{name}_API_KEY", "test-key")
    text = (DOCS / "howto/several-destinations.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    found = [block for block in blocks if '"DESTINATIONS"' in block]
    assert len(found) == 3
    for block in found:
        names: dict[str, Any] = {}
        exec(block, names)
        settings.MOLOCO_RMP = names["MOLOCO_RMP"]
        assert problems() == []
        assert set(get_settings().destinations) == set(names["MOLOCO_RMP"]["DESTINATIONS"])


def test_each_command_is_told_of() -> None:
    commands = {
        path.stem for path in (ROOT / "django_moloco_rmp/management/commands").glob("m*.py")
    }
    reference = (DOCS / "reference/commands.md").read_text("utf-8")
    assert sorted(re.findall(r"{command-help} (\w+)", reference)) == sorted(commands)
    assert set(re.findall("^## (.+)", reference, re.M)) == commands


def calls() -> set[tuple[str, str]]:
    """Command and arguments of each call in the docs: at a prompt, or with arguments in a text."""
    text = "".join(page.read_text("utf-8") for page in (ROOT / "README.md", *DOCS.rglob("*.md")))
    prompts = re.findall(r"^\$ python manage\.py (moloco_\w+)([^|>\n]*)", text, re.M)
    mentions = re.findall(r"`(?:python )?(?:manage\.py )?(moloco_\w+) ([^`|]+)`", text)
    return {(name, arguments.strip()) for name, arguments in prompts + mentions}


@pytest.mark.parametrize("call", sorted(calls()), ids=" ".join)
def test_each_call_of_a_command_is_one_that_it_takes(call: tuple[str, str]) -> None:
    name, arguments = call
    command = load_command_class("django_moloco_rmp", name)
    # Not from a command line: a fault is an exception then.
    command._called_from_command_line = False
    try:
        command.create_parser("manage.py", name).parse_args(shlex.split(arguments))
    except CommandError as error:
        pytest.fail(str(error))


def test_each_page_is_in_the_table_of_contents() -> None:
    pages = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.md")}
    listed = set(
        re.findall(r"^[a-z-]+(?:/[a-z-]+)?$", (DOCS / "index.md").read_text("utf-8"), re.M)
    )
    assert pages - {"index"} == listed
