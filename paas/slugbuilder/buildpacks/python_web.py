"""The web process of a Python app that has no Procfile.

In: the source and the names of what is installed.  Out: a command, or the reason why there is none.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

MODULES = ("app.py", "main.py", "wsgi.py", "asgi.py", "server.py", "application.py")
WSGI_CLASSES = {"Flask"}
ASGI_CLASSES = {"FastAPI", "Starlette", "Quart", "Litestar"}


@dataclass(frozen=True)
class Found:
    """An application object: `target` is `module:name`, `kind` the class that makes it."""

    target: str
    kind: str


def default_web(app: Path, installed: frozenset[str]) -> tuple[str, str]:
    """Return (command, '') or ('', reason)."""
    django = django_target(app) if "django" in installed else None
    if django is not None:
        return django_command(django, installed)
    found = find_application(app)
    if found is None:
        return "", "No Flask, FastAPI or Django application was found in " + ", ".join(MODULES[:4]) + "."
    if found.kind in ASGI_CLASSES:
        return asgi_command(found, installed)
    if "bin/gunicorn" in installed:
        return f"gunicorn {quoted(found.target)}", ""
    return (
        "",
        f"{found.kind} was found in {found.target}, but gunicorn is not among the dependencies to serve it.",
    )


def django_target(app: Path) -> tuple[str, str] | None:
    """Return (folder, module) of the project's wsgi.py, the folder being where manage.py lies ('' for the root)."""
    for wsgi in sorted([*app.glob("*/wsgi.py"), *app.glob("*/*/wsgi.py")], key=lambda path: len(path.parts)):
        if wsgi.relative_to(app).parts[0].startswith("."):
            continue
        base = wsgi.parent.parent
        if (base / "manage.py").is_file():
            folder = "" if base == app else base.name
            return folder, f"{wsgi.parent.name}.wsgi"
    return None


def django_command(target: tuple[str, str], installed: frozenset[str]) -> tuple[str, str]:
    folder, module = target
    if "bin/gunicorn" not in installed:
        return "", "Django was found, but gunicorn is not among the dependencies to serve it."
    return f"gunicorn {f'--chdir {folder} ' if folder else ''}{module}", ""


def asgi_command(found: Found, installed: frozenset[str]) -> tuple[str, str]:
    if "bin/uvicorn" in installed:
        factory = "--factory " if found.target.endswith("()") else ""
        return f"uvicorn {factory}{found.target.removesuffix('()')} --host 0.0.0.0 --port $PORT", ""
    return (
        "",
        f"{found.kind} was found in {found.target}, but uvicorn is not among the dependencies to serve it.",
    )


def quoted(target: str) -> str:
    return f"'{target}'" if target.endswith("()") else target


def find_application(app: Path) -> Found | None:
    for name in MODULES:
        path = app / name
        if path.is_file():
            found = application_in(path.read_bytes(), path.stem)
            if found is not None:
                return found
    return None


def application_in(source: bytes, module: str) -> Found | None:
    """Find `app = Flask(...)` at the top of a module, or a `create_app` function that makes one."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    for node in tree.body:
        name = assigned_name(node)
        kind = made_class(node) if name else None
        if name and kind:
            return Found(f"{module}:{name}", kind)
    for node in tree.body:
        if (
            isinstance(node, ast.FunctionDef)
            and node.name in ("create_app", "make_app")
            and not node.args.args
        ):
            kind = next((k for child in ast.walk(node) if (k := made_class(child))), None)
            if kind:
                return Found(f"{module}:{node.name}()", kind)
    return None


def assigned_name(node: ast.stmt) -> str | None:
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return (
        target.id if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) else None
    )


def made_class(node: ast.AST) -> str | None:
    """The framework class that a statement's value calls: `Flask(...)`, `flask.Flask(...)`."""
    value = getattr(node, "value", None)
    if not isinstance(value, ast.Call):
        return None
    name = getattr(value.func, "id", None) or getattr(value.func, "attr", None)
    return name if name in WSGI_CLASSES | ASGI_CLASSES else None
