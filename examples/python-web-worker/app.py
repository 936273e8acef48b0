"""A page that shows which app, release and instance answered, and one config var."""

import os
import platform

from flask import Flask, jsonify, render_template

app = Flask(__name__)


def about() -> dict[str, str]:
    """What the platform tells a process through its environment."""
    env = os.environ
    return {
        "app": env.get("HEROKU_APP_NAME", "this app"),
        "release": env.get("HEROKU_RELEASE_VERSION", "unknown"),
        "instance": env.get("DYNO", "local"),
        "commit": env.get("HEROKU_SLUG_COMMIT", "")[:8] or "unknown",
        "python": platform.python_version(),
        "greeting": env.get("GREETING", ""),
    }


@app.get("/")
def index():
    return render_template("index.html", **about())


@app.get("/about.json")
def about_json():
    return jsonify(about())


@app.get("/health")
def health():
    return "ok\n", 200, {"Content-Type": "text/plain"}
