from __future__ import annotations

import re

import pytest

from tests.sandbox.caller import Caller

FILES = ["/", "/page.css", "/page.js", "/icon.svg"]


@pytest.mark.parametrize("path", FILES)
def test_a_file_of_the_page(caller: Caller, path: str) -> None:
    response = caller.call("GET", path)
    assert response.status_code == 200
    assert len(response.content) > 100
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", FILES)
def test_nothing_from_elsewhere_may_load(caller: Caller, path: str) -> None:
    policy = caller.call("GET", path).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("path", FILES)
def test_nothing_from_elsewhere_is_named(caller: Caller, path: str) -> None:
    text = caller.call("GET", path).text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|(src|href|url)\W+//", text)


def test_the_page_has_no_script_or_style_of_its_own(caller: Caller) -> None:
    text = caller.call("GET", "/").text
    assert not re.search(r"<style|\bstyle=|\bon\w+=|<script(?! src=)", text)


def test_the_key_is_nowhere_on_the_page(caller: Caller) -> None:
    caller.post()
    for path in [*FILES, "/live", "/events", "/faults"]:
        assert "test-key" not in caller.call("GET", path).text


@pytest.mark.parametrize("path", FILES)
def test_files_take_no_other_method(caller: Caller, path: str) -> None:
    response = caller.call("POST", path, json={})
    assert (response.status_code, response.headers["Allow"]) == (405, "GET")
