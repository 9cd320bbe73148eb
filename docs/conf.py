"""
Sphinx settings: ``sphinx-build -W docs BUILD_FOLDER``, as the tox environment docs does.

``sphinx-build -b linkcheck`` asks the links to other sites, too: the tox environment links.
"""

from __future__ import annotations

import os
from argparse import SUPPRESS
from importlib.metadata import version as installed
from pathlib import PurePath
from typing import Any

import django
from django.core.management import load_command_class
from docutils import nodes
from docutils.parsers.rst import Directive

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

project = "django-moloco-rmp"
author = "django-moloco-rmp contributors"
project_copyright = "django-moloco-rmp contributors"
release = version = installed("django-moloco-rmp")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# No inventories are fetched: a build must not depend on other people's servers.
intersphinx_mapping: dict[str, tuple[str, str | None]] = {}
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# A name or an anchor that leads nowhere is a warning, and so an error.
nitpicky = True
nitpick_ignore = [("py:exc", "ImproperlyConfigured")]  # Django's
# Addresses of the reader's own machine.
linkcheck_ignore = [r"http://127\.0\.0\.1:"]

html_theme = "furo"
html_title = "django-moloco-rmp"
html_show_sphinx = False

# The width of the help of commands, which argparse fits to it.
os.environ["COLUMNS"] = "88"
# Options of Django's own, the same for all commands.
_DJANGO = {"version", "verbosity", "settings", "pythonpath", "traceback"}
_DJANGO |= {"no_color", "force_color", "skip_checks"}


class CommandHelp(Directive):
    """The help of a command, as ``--help`` prints it, without Django's own options."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return it as a block of text."""
        (name,) = self.arguments
        parser = load_command_class("django_moloco_rmp", name).create_parser("manage.py", name)
        for action in parser._actions:
            if action.dest in _DJANGO:
                action.help = SUPPRESS
        return [nodes.literal_block("", parser.format_help(), language="text")]


def _fit_to_scheme(app: Any, document: nodes.document) -> None:
    """Show of each pair of pictures the one that is as light or dark as the page."""
    for picture in document.findall(nodes.image):
        scheme = PurePath(picture["uri"]).stem.rpartition("-")[2]
        if scheme in {"light", "dark"}:
            picture["classes"].append(f"only-{scheme}")


def setup(app: Any) -> None:
    """Add what is ours."""
    app.add_directive("command-help", CommandHelp)
    app.connect("doctree-read", _fit_to_scheme)
