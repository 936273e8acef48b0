"""The files HAProxy reads follow from values alone, and only what matters makes a reload."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from paas.router.config import HostPort
from paas.router.layout import Layout, Server
from paas.router.pages import PAGES, render_pages
from paas.router.render import (
    Process,
    fingerprint,
    log_format,
    max_connections,
    render_config,
    render_files,
    render_map,
)

pytestmark = pytest.mark.unit

PROCESS = Process(
    binds=(HostPort("127.0.0.1", 8080), HostPort("::", 80)),
    descriptors=20000,
    log_port=4711,
    log_key="secret",
)


def test_servers_stand_in_their_slots():
    text = render_config(PROCESS, 2, [Server(2, "web.1:i:0", "10.0.0.1", 5000)], "f")
    first, second = text.split("backend s1 from slots\n")[1].split("backend s2 from slots\n")
    assert "server" not in first
    assert second.strip().startswith("server web.1:i:0 10.0.0.1:5000 check inter 2s")


def test_binds_user_threads_and_log():
    text = render_config(
        dataclasses.replace(PROCESS, user="haproxy", group="haproxy", threads=2), 1, (), "abc"
    )
    for line in (
        "  bind 127.0.0.1:8080",
        "  bind [::]:80",
        "  bind unix@inner.sock mode 600 user haproxy accept-proxy",
        "  server next unix@inner.sock send-proxy-v2",
        "  user haproxy",
        "  nbthread 2",
        "  description abc",
        "  server collector 127.0.0.1:4711 log-proto octet-count",
    ):
        assert line in text.splitlines()


def test_nothing_is_left_unformatted():
    text = render_config(PROCESS, 1, (), "f")
    assert not re.search(r"%\([a-z]+\)s|%%|\{\}", text)
    assert all(len(line) < 2000 for line in text.splitlines())


def test_the_platform_has_its_own_backend_only_when_asked():
    assert "platform" not in render_config(PROCESS, 1, (), "f")
    process = dataclasses.replace(
        PROCESS, platform_host="p.test", platform_backend=HostPort("127.0.0.1", 8000)
    )
    text = render_config(process, 1, (), "f")
    assert "use_backend platform if { var(txn.host) -m str p.test }" in text
    assert "  server web 127.0.0.1:8000" in text


def test_only_structure_changes_the_fingerprint():
    one = fingerprint(PROCESS, 64)
    assert one == fingerprint(dataclasses.replace(PROCESS), 64)
    assert one != fingerprint(PROCESS, 128)
    assert one != fingerprint(dataclasses.replace(PROCESS, log_port=4712), 64)
    empty = render_files(PROCESS, Layout(version=1, pool=64))
    full = render_files(PROCESS, Layout(version=2, pool=64, servers={"s1/x": Server(1, "x", "10.0.0.1", 1)}))
    described = [
        next(line for line in f["haproxy.cfg"].splitlines() if "description" in line) for f in (empty, full)
    ]
    assert described == [f"  description {one}"] * 2


def test_maps():
    assert render_map({"b.test": "2", "*.a.test": "1"}) == "*.a.test 1\nb.test 2\n"
    files = render_files(PROCESS, Layout(version=1, pool=1, hosts={"a.test": "x"}))
    assert files["hosts.map"] == "a.test x\n"
    assert files["error_urls.map"] == files["maintenance_urls.map"] == ""


@pytest.mark.parametrize(
    ("descriptors", "pool"), [(1024, 64), (4096, 64), (20000, 64), (20000, 4096), (1 << 20, 64)]
)
def test_connections_fit_the_limit(descriptors, pool):
    assert 100 <= max_connections(descriptors, pool) <= 20000
    assert 2 * max_connections(descriptors, pool) < descriptors


def test_the_log_line_is_json_and_holds_no_control_over_itself():
    text = log_format("secret")
    assert text.startswith('{"k":"secret",')
    assert "'" not in text  # it stands in single quotes
    for name in ("host", "path", "fwd", "method"):
        assert re.search(rf'"{name}":"%\[[^\]]+json\(utf8s\)\]"', text), name


class Outline(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("name", sorted(render_pages()))
def test_pages_are_small_and_accessible(name):
    page = render_pages()[name]
    outline = Outline()
    outline.feed(page)
    tags = [tag for tag, _ in outline.tags]
    assert tags.count("h1") == tags.count("main") == tags.count("title") == 1
    assert ("html", {"lang": "en"}) in outline.tags
    assert all(attrs.get("title") for tag, attrs in outline.tags if tag == "iframe")
    assert not {"script", "link", "img"} & set(tags)
    assert len(page) < 4000
    assert set(re.findall(r"%\[(.*?)\]", page)) <= {"var(txn.name)", "var(txn.rid)", "var(txn.frame)"}
    assert not re.search(r"(?<!%)%(?![%\[])", page.replace("%%", ""))


def test_every_code_of_the_configuration_has_its_page():
    used = set(
        re.findall(r"pages/(\S+)\.html", "".join(render_files(PROCESS, Layout(version=1, pool=1)).values()))
    )
    assert used | {"platform"} == {page.code for page in PAGES}
