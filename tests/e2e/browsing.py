"""The dashboard as a browser without a screen: signed in, forms sent as the page's script sends them.

In: a platform and an account.  Out: pages and fragments as text; cookies and tokens are kept.
"""

from __future__ import annotations

import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request

from tests.e2e.platform import Platform

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')


class Browsing:
    def __init__(self, platform: Platform) -> None:
        self._origin = f"http://127.0.0.1:{platform.port('PAAS_API_PORT')}"
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))
        self._token = ""
        self.notice = ""

    def sign_in(self, email: str, password: str) -> None:
        self.get("/login")
        self.post("/login", email=email, password=password)
        self.get("/")

    def get(self, path: str) -> str:
        with self._opener.open(f"{self._origin}{path}", timeout=60) as answer:
            page = str(answer.read().decode())
        found = TOKEN.search(page)
        self._token = found[1] if found else self._token
        return page

    def post(self, path: str, **fields: str) -> str:
        """Send a form; returns what is shown in its place. `notice` is what it says in passing."""
        headers = {"HX-Request": "true", "X-CSRFToken": self._token}
        data = urllib.parse.urlencode(fields).encode()
        request = urllib.request.Request(f"{self._origin}{path}", data, headers)
        try:
            with self._opener.open(request, timeout=60) as answer:
                said = json.loads(answer.headers.get("HX-Trigger") or "{}")
                self.notice = str(said.get("notice", ""))
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from error
