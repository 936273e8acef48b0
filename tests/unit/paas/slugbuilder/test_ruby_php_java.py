"""What the files of Ruby, PHP and Java apps say, and which error a tool's words are."""

import zipfile
from functools import partial
from pathlib import Path

import pytest

from paas.slugbuilder.buildpacks.java import gradle_task, runnable_jar
from paas.slugbuilder.buildpacks.java_errors import explain_java
from paas.slugbuilder.buildpacks.php import document_root, inside, needs_lock
from paas.slugbuilder.buildpacks.php_errors import explain_composer
from paas.slugbuilder.buildpacks.ruby import default_processes
from paas.slugbuilder.buildpacks.ruby_assets import asset_environment
from paas.slugbuilder.buildpacks.ruby_errors import explain_bundler
from paas.slugbuilder.errors import BuildError
from paas.slugbuilder.gemfile_lock import GemfileLock, parse_gemfile_lock
from paas.slugbuilder.java_home import Jdk, choose_jdk, wanted_major

pytestmark = pytest.mark.unit

maven, gradle = partial(explain_java, tool="Maven"), partial(explain_java, tool="Gradle")

LOCK = """GEM
  remote: https://rubygems.org/
  specs:
    puma (6.4.2)
      nio4r (~> 2.0)
    railties (7.1.3)

BUNDLED WITH
   2.5.6
"""


def test_gemfile_lock():
    for text in (LOCK, LOCK.replace("\n", "\r\n")):
        assert parse_gemfile_lock(text) == GemfileLock(frozenset({"puma", "railties"}), "2.5.6")


@pytest.mark.parametrize(
    ("gems", "files", "web"),
    [
        (["railties", "puma"], ["bin/rails"], "bin/rails server -p ${PORT:-5000} -e $RAILS_ENV"),
        (["railties"], [], "bundle exec rails server -p ${PORT:-5000} -e $RAILS_ENV"),
        (["puma"], ["config.ru"], "bundle exec puma -p ${PORT:-5000}"),
        (["rack"], ["config.ru"], "bundle exec rackup config.ru -o 0.0.0.0 -p ${PORT:-5000}"),
        (["rack"], [], None),
    ],
)
def test_web_process_of_ruby(tmp_path, gems, files, web):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert default_processes(tmp_path, GemfileLock(frozenset(gems))).get("web") == web


def test_assets_need_neither_database_nor_secret():
    env = asset_environment({"RAILS_ENV": "production"}, GemfileLock(frozenset({"pg"})))
    assert env["DATABASE_URL"].startswith("postgresql://") and env["SECRET_KEY_BASE_DUMMY"] == "1"
    own = asset_environment({"SECRET_KEY_BASE": "s", "DATABASE_URL": "mine"}, GemfileLock(frozenset({"pg"})))
    assert own["DATABASE_URL"] == "mine" and "SECRET_KEY_BASE_DUMMY" not in own


@pytest.mark.parametrize(
    ("asked", "major"),
    [("17", 17), ("1.8", 8), ("openjdk-21", 21), ("zulu-11.0.3", 11), ("21.0.2", 21), ("", None)],
)
def test_java_versions(asked, major):
    assert wanted_major(f"# note\njava.runtime.version={asked}\n") == major


def test_the_jdk_is_the_one_asked_for_else_the_stacks_own():
    jdks = [Jdk(Path("/25"), 25), Jdk(Path("/21"), 21)]
    assert choose_jdk(None, jdks, 21, "debian-13").major == 21
    assert choose_jdk(25, jdks, 21, "debian-13").major == 25
    for wanted, found, error in ((17, jdks, "java_version_unsupported"), (17, [], "java_missing")):
        with pytest.raises(BuildError) as caught:
            choose_jdk(wanted, found, None, "debian-13")
        assert caught.value.id == error
    with pytest.raises(BuildError):
        wanted_major("java.runtime.version=latest")


def jar(path, manifest):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", manifest)


def test_the_archive_to_start(tmp_path):
    assert runnable_jar(tmp_path)[0] == ""
    jar(tmp_path / "target/app-1.jar", "Main-Class: A\n")
    jar(tmp_path / "target/app-1-sources.jar", "Main-Class: A\n")
    jar(tmp_path / "target/original-app-1.jar", "Main-Class: A\n")
    jar(tmp_path / "target/lib.jar", "Created-By: x\n")
    assert runnable_jar(tmp_path) == ("target/app-1.jar", "")
    jar(tmp_path / "build/libs/other.jar", "Main-Class: B\n")
    assert runnable_jar(tmp_path) == ("", "Several archives can be started: app-1.jar, other.jar.")


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("task stage { }", "stage"),
        ("tasks.register('stage') { }", "stage"),
        ('tasks.register<Copy>("stage") { }', "stage"),
        ("task stageing { }", "build -x check"),
        ("", "build -x check"),
    ],
)
def test_gradle_task(tmp_path, text, task):
    (tmp_path / "build.gradle").write_text(text)
    assert gradle_task(tmp_path) == task


def test_document_root_of_php(tmp_path):
    assert document_root(tmp_path, {}, {}) == ""
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.php").touch()
    assert document_root(tmp_path, {}, {}) == "public"
    (tmp_path / "web").mkdir()
    assert document_root(tmp_path, {"extra": {"heroku": {"document-root": "web/"}}}, {}) == "web"
    assert document_root(tmp_path, {}, {"PHP_DOCUMENT_ROOT": "web"}) == "web"
    with pytest.raises(BuildError):
        document_root(tmp_path, {}, {"PHP_DOCUMENT_ROOT": "none"})


def test_folders_of_composer_stay_inside():
    assert inside("../x", "vendor") == "vendor"
    assert inside("lib/packages/", "vendor") == "lib/packages"


def test_which_composer_json_needs_a_lock():
    assert needs_lock({"require": {"php": "^8", "monolog/monolog": "^3"}})
    assert not needs_lock({"require": {"php": "^8", "ext-gd": "*"}})
    assert not needs_lock({"require": []})


@pytest.mark.parametrize(
    ("explain", "said", "error"),
    [
        (
            explain_bundler,
            "Your Ruby version is 3.1.2, but your Gemfile specified ~> 3.4",
            "ruby_version_unsupported",
        ),
        (
            explain_bundler,
            'Your bundle only supports platforms ["darwin"] but your local platform\nis x86_64-linux. Add',
            "lock_invalid",
        ),
        (explain_bundler, "Could not reach host rubygems.org. Check your network", "registry_unreachable"),
        (
            explain_bundler,
            "An error occurred while installing pg (1.5.4), and Bundler cannot continue.",
            "package_build_failed",
        ),
        (explain_bundler, "Could not find nogem-1.0 in any of the sources", "requirements_unresolvable"),
        (explain_bundler, "something else", "install_failed"),
        (
            explain_composer,
            "- a/b 1.0 requires php ^9 -> your php version (8.2.3) does not satisfy",
            "php_version_unsupported",
        ),
        (
            explain_composer,
            "- Root composer.json requires PHP extension ext-x * but it is missing from your system.",
            "php_extension_missing",
        ),
        (explain_composer, 'Required package "a/b" is not present in the lock file.', "lock_outdated"),
        (
            explain_composer,
            "curl error 6 while downloading https://repo.packagist.org",
            "registry_unreachable",
        ),
        (
            explain_composer,
            "Script @php artisan handling the post-install-cmd event returned with error code 1",
            "package_script_failed",
        ),
        (
            maven,
            "[ERROR] Fatal error compiling: release version 25 not supported",
            "java_version_unsupported",
        ),
        (maven, "[ERROR] COMPILATION ERROR :\n[ERROR] A.java:[1,2] ';' expected", "java_compile_failed"),
        (maven, "Could not transfer artifact: repo.maven.apache.org: Unknown host", "registry_unreachable"),
        (maven, "There are test failures.", "java_tests_failed"),
        (maven, "ShopTest: Connection refused\n[ERROR] There are test failures.", "java_tests_failed"),
        (explain_composer, "The URL required authentication (HTTP/2 401)", "registry_refused"),
        (gradle, "FAILURE: Build failed", "java_build_failed"),
    ],
)
def test_errors(explain, said, error):
    assert explain(said).id == error
