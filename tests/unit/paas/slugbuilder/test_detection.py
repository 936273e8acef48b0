"""Which buildpack takes an app."""

import pytest

from paas.slugbuilder.buildpacks import BUILDPACKS, detect
from paas.slugbuilder.errors import BuildError

pytestmark = pytest.mark.unit


def tree(tmp_path, *names, **contents):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents.get(name, ""))
    return tmp_path


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["requirements.txt"], "python"),
        (["uv.lock", "pyproject.toml"], "python"),
        (["Pipfile"], "python"),
        (["requirements.txt", "package.json", "index.html", "Procfile"], "python"),
        (["go.mod", "package.json", "index.html"], "go"),
        (["requirements.txt", "go.mod"], "python"),
        (["Gemfile", "package.json", "requirements.txt"], "ruby"),
        (["pom.xml", "package.json"], "java"),
        (["settings.gradle.kts"], "java"),
        (["composer.json", "package.json"], "php"),
        (["index.php", "index.html"], "php"),
        (["package.json"], "node"),
        (["package.json", "index.html", "Procfile"], "node"),
        (["index.html"], "static"),
        (["public/index.html"], "static"),
        (["Staticfile", "Procfile"], "static"),
        (["Procfile", "run.sh"], "procfile"),
    ],
)
def test_order(tmp_path, files, name):
    assert detect(tree(tmp_path, *files)).name == name


def test_the_order_of_the_registry():
    assert [buildpack.name for buildpack in BUILDPACKS] == [
        "ruby",
        "python",
        "java",
        "php",
        "go",
        "node",
        "static",
        "procfile",
    ]


def test_pyproject_that_only_configures_tools_is_no_python_app(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    (tmp_path / "package.json").write_text("{}")
    assert detect(tmp_path).name == "node"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert detect(tmp_path).name == "python"


def test_a_folder_of_that_name_is_no_match(tmp_path):
    (tmp_path / "requirements.txt").mkdir()
    (tmp_path / "package.json").mkdir()
    with pytest.raises(BuildError):
        detect(tmp_path)


def test_no_buildpack_lists_what_was_looked_for_and_what_is_there(tmp_path):
    with pytest.raises(BuildError) as caught:
        detect(tree(tmp_path, "main.rs", "Cargo.toml"))
    error = caught.value
    assert error.id == "no_buildpack"
    assert "Cargo.toml, main.rs" in error.message
    assert len(error.details) == len(BUILDPACKS)
    assert any("requirements.txt" in line for line in error.details)
    assert any("package.json" in line for line in error.details)
