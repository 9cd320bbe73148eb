"""As much of a browser as a walk through the shop takes, over real HTTP."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests

USER_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36"
)
TIMEOUT = 20


class BrowserError(Exception):
    """The shop did not answer as a shop should, or a page lacks what is to be clicked."""


@dataclass(slots=True)
class Form:
    """A form of a page: where it goes, and its fields with their values."""

    url: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class _Page(HTMLParser):
    """What can be clicked on a page."""

    def __init__(self, url: str, html: str) -> None:
        super().__init__()
        self._url = url
        self.links: list[str] = []
        self.forms: list[Form] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in attributes:
            self.links.append(urljoin(self._url, attributes["href"]))
        elif tag == "form":
            url = urljoin(self._url, attributes.get("action", ""))
            self.forms.append(Form(url, attributes.get("method", "get").lower()))
        elif tag in {"input", "select", "textarea", "button"} and "name" in attributes:
            value = "" if tag == "button" else attributes.get("value", "")
            self.forms[-1].fields[attributes["name"]] = value


class Browser:
    """
    One shopper's browser. It goes only where the page before has a link or a form, keeps cookies,
    and names the page it comes from as browsers do.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.url = ""
        self.text = ""
        self._session = requests.Session()
        # The shop is on this machine: no proxy of the environment, no .netrc.
        self._session.trust_env = False
        self._session.headers.update(
            {
                "User-Agent": USER_AGENT,
                "Accept": "text/html,application/xhtml+xml",
                "Accept-Language": "en-GB,en;q=0.9,da;q=0.8",
            }
        )

    def close(self) -> None:
        self._session.close()

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    def cookie(self, name: str) -> str | None:
        return self._session.cookies.get(name)

    def arrive(self, path: str, referrer: str) -> None:
        """Come from another site."""
        self._go("GET", self.origin + path, referrer)

    def click(self, path: str) -> None:
        """Follow the link to a path; its query is the page's own."""
        links = [link for link in _Page(self.url, self.text).links if urlsplit(link).path == path]
        if not links:
            raise BrowserError(f"{self.path} has no link to {path}")
        self._go("GET", links[0], self.url)

    def submit(self, path: str, **values: str) -> None:
        """Fill in the form that goes to a path, and send it."""
        forms = [
            form
            for form in _Page(self.url, self.text).forms
            if urlsplit(form.url).path == path and values.keys() <= form.fields.keys()
        ]
        if not forms:
            raise BrowserError(f"{self.path} has no form to {path} with {', '.join(values)}")
        form = forms[0]
        fields = form.fields | values
        if form.method == "post":
            self._go("POST", form.url, self.url, data=fields)
        else:
            self._go("GET", form.url, self.url, params=fields)

    def _go(self, method: str, url: str, referrer: str, **content: dict[str, str]) -> None:
        # Redirects keep the Referer, as they do in browsers.
        what = f"{method} {urlsplit(url).path}"
        try:
            response = self._session.request(
                method, url, headers={"Referer": referrer}, timeout=TIMEOUT, **content
            )
        except requests.RequestException as error:
            raise BrowserError(f"{what} got no answer: {error}") from error
        if response.status_code != 200:
            raise BrowserError(f"{what} was answered {response.status_code}")
        self.url, self.text = response.url, response.text


def now() -> int:
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
