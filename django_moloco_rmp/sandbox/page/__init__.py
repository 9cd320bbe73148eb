"""The page that shows events as they arrive: its files, and the headers they are served with."""

from __future__ import annotations

from importlib.resources import files

from django_moloco_rmp.sandbox.answers import Answer

# The page shows what strangers may have put into a shop, so nothing on it may run or load but
# these files, and no script may turn a text into HTML.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
}
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


def page_file(path: str) -> Answer | None:
    """Return the file of the page at a URL path; None if there is none."""
    if path not in _FILES:
        return None
    name, content_type = _FILES[path]
    content = files(__name__).joinpath(name).read_bytes()
    return Answer(200, content, content_type, _HEADERS)
