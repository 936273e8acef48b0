"""heroku.yml becomes a plan, or a sentence that says what is wrong with it."""

import pytest

from paas.slugbuilder.dockerfile.heroku_yml import parse_heroku_yml
from paas.slugbuilder.dockerfile.plan import Orders, Process, Target, dump_orders, load_orders

FULL = """
setup:
  addons:
    - plan: heroku-redis
      as: CACHE
  config: {A: b}
build:
  docker:
    web: ./Dockerfile
    worker: {dockerfile: worker/Dockerfile, target: run}
    same: Dockerfile
  config: {DEBUG: false, LEVEL: 3, NAME: x}
  languages: [ruby]
release:
  image: worker
  command: [./migrate, --all]
run:
  web: bundle exec puma
  clock: {image: worker, command: [tick]}
  worker: {}
"""


LAUGHS = "setup:\n  x: &a [lol, lol]\n  addons: [*a, *a]\nbuild: {docker: {web: D}}\n"


def test_all_of_it_is_read() -> None:
    plan = parse_heroku_yml(FULL)
    assert plan is not None
    assert plan.images["worker"] == Target("worker/Dockerfile", "run")
    assert plan.targets == (Target("Dockerfile"), Target("worker/Dockerfile", "run"))
    assert plan.runs == {
        "web": Process("web", "bundle exec puma"),
        "clock": Process("worker", "tick"),
        "worker": Process("worker"),
        "release": Process("worker", "./migrate --all"),
    }
    assert plan.arguments == {"DEBUG": "false", "LEVEL": "3", "NAME": "x"}
    told = " ".join(plan.told)
    assert all(word in told for word in ("heroku-redis", "setup.config", "build.languages"))


def test_without_a_dockerfile_it_decides_nothing() -> None:
    assert parse_heroku_yml("") is None
    assert parse_heroku_yml("run: {web: x}") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "cannot be read in line"),
        ("- a", "is not a table"),
        ("biuld: {}", "the section 'biuld'"),
        ("build: {docker: {web: ../Dockerfile}}", "no file of the repository"),
        ("build: {docker: {web: /etc/passwd}}", "no file of the repository"),
        ("build: {docker: {web: 3}}", "not the path of a Dockerfile"),
        ("build: {docker: {web: {file: x}}}", "takes `dockerfile`"),
        ("build: {docker: {'we b': x}}", "cannot name a process type"),
        ("build: {docker: {web: D}}\nrun: {web: {cmd: x}}", "has 'cmd'"),
        ("build: {docker: {web: D}}\nrelease: {image: x, command: y}", "does not make: web"),
        ("build: {docker: {web: D}, config: {A: [1]}}", "is no text"),
        ("build: {docker: {web: D}}\nrun: {web: [{a: b}]}", "neither text nor a list"),
        (
            "build: {docker: {web: D}}\nrelease: {image: [a], command: y}",
            "image of release in heroku.yml is no text",
        ),
        ("build: {docker: {web: D}}\nsetup: {addons: 3}", "is no list of plans"),
        ("build: {docker: {web: D}}\nsetup: {addons: [{plan: [a]}]}", "is no list of plans"),
        ("build: {docker: {web: D}}\nsetup: {addons: [{as: CACHE}]}", "is no list of plans"),
        ("build: {docker: {web: D}}\nsetup: {config: 3}", "setup.config of heroku.yml is not a table"),
        ("run: {web: 2026-13-40}", "cannot be read: month must be in"),
        ("run: {web: !!bool x}", "cannot be read: 'x'. Write the value in quotes"),
        ("run: {web: !!timestamp x}", "cannot be read"),
        ("run: {web: !!int ''}", "cannot be read"),
        ("[" * 5000, "nested too deeply"),
        (LAUGHS, r"in line 3: the alias \*a is not read here"),
    ],
)
def test_what_is_wrong_is_told(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_heroku_yml(text)


def test_orders_are_read_as_they_were_written() -> None:
    orders = Orders(
        (Target("a/Dockerfile", "s"),), {"A": "b"}, {"debian-13": ["sha256:1"]}, ["r:5000"], ["told"]
    )
    assert load_orders(dump_orders(orders)) == orders
