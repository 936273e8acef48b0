"""The default web process of Python apps."""

import pytest

from paas.slugbuilder.buildpacks.python_web import application_in, default_web

pytestmark = pytest.mark.unit
GUNICORN = frozenset({"bin/gunicorn"})


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        (b"from flask import Flask\napp = Flask(__name__)\n", "m:app", "Flask"),
        (b"import flask\napplication: flask.Flask = flask.Flask('x')\n", "m:application", "Flask"),
        (b"app = FastAPI(title='x')\n", "m:app", "FastAPI"),
        (b"def create_app():\n    app = Flask('x')\n    return app\n", "m:create_app()", "Flask"),
    ],
)
def test_finds_the_application(source, target, kind):
    found = application_in(source, "m")
    assert (found.target, found.kind) == (target, kind)


@pytest.mark.parametrize(
    "source", [b"app = 1", b"def (", b"\0", b"def create_app(config):\n    return Flask(config)\n", b""]
)
def test_finds_none(source):
    assert application_in(source, "m") is None


def test_flask_with_gunicorn(tmp_path):
    (tmp_path / "main.py").write_text("app = Flask(__name__)")
    assert default_web(tmp_path, GUNICORN) == ("gunicorn main:app", "")


def test_a_factory_is_quoted(tmp_path):
    (tmp_path / "app.py").write_text("def create_app():\n  return Flask('x')\n")
    assert default_web(tmp_path, GUNICORN) == ("gunicorn 'app:create_app()'", "")


def test_fastapi_needs_uvicorn(tmp_path):
    (tmp_path / "main.py").write_text("app = FastAPI()")
    command, reason = default_web(tmp_path, GUNICORN)
    assert not command
    assert "uvicorn is not among the dependencies" in reason
    assert (
        default_web(tmp_path, frozenset({"bin/uvicorn"}))[0] == "uvicorn main:app --host 0.0.0.0 --port $PORT"
    )


def test_flask_without_server_says_so(tmp_path):
    (tmp_path / "app.py").write_text("app = Flask(__name__)")
    assert "gunicorn is not among the dependencies" in default_web(tmp_path, frozenset())[1]


def test_django_in_the_root_and_in_a_folder(tmp_path):
    for base in (tmp_path / "a", tmp_path / "b" / "backend"):
        (base / "site").mkdir(parents=True)
        (base / "site" / "wsgi.py").touch()
        (base / "manage.py").touch()
    installed = GUNICORN | {"django"}
    assert default_web(tmp_path / "a", installed)[0] == "gunicorn site.wsgi"
    assert default_web(tmp_path / "b", installed)[0] == "gunicorn --chdir backend site.wsgi"


def test_nothing_found_names_where_it_looked(tmp_path):
    assert "app.py" in default_web(tmp_path, GUNICORN)[1]
