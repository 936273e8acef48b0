"""Every example builds, twice to the same bytes, and from the cache the second time."""

import pytest

from .builds import EXAMPLES, build, tree_hash

pytestmark = pytest.mark.integration

EXPECTED = {
    "python-web-worker": ("python", {"web": "gunicorn app:app", "worker": "python worker.py"}),
    "node-express": ("node", {"web": "npm start"}),
    "django-release": ("python", {"release": None, "web": "gunicorn mysite.wsgi"}),
    "static-site": ("static", {"web": None}),
    "worker-only": ("procfile", {"worker": "sh worker.sh"}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_example_builds_reproducibly_and_from_the_cache(name, work):
    buildpack, processes = EXPECTED[name]
    cold = build(EXAMPLES / name, work, cache="cache1")
    assert cold.code == 0, cold.output
    first = tree_hash(work / "app")
    assert cold.result["buildpacks"][0]["name"] == buildpack
    assert set(cold.result["process_types"]) == set(processes)
    for kind, command in processes.items():
        assert command is None or cold.result["process_types"][kind] == command
    assert cold.result["error"] is None
    assert cold.result["files"] > 0

    other_cache = build(EXAMPLES / name, work, cache="cache2")
    assert other_cache.code == 0, other_cache.output
    assert tree_hash(work / "app") == first

    warm = build(EXAMPLES / name, work, cache="cache1")
    assert warm.code == 0, warm.output
    assert tree_hash(work / "app") == first
    if buildpack in ("python", "node"):
        assert "restored from the cache" in warm.output


def test_django_static_files_are_collected(work):
    built = build(EXAMPLES / "django-release", work)
    assert "collectstatic --noinput" in built.output
    assert list((work / "app" / "staticfiles" / "ledger").glob("style.*.css"))
    left_out = build(EXAMPLES / "django-release", work, env={"DISABLE_COLLECTSTATIC": "1"})
    assert "collectstatic left out" in left_out.output
    assert not (work / "app" / "staticfiles").exists()
