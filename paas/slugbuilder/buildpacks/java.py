"""Java apps: built by Maven or by the Gradle of their wrapper.

In: pom.xml, or Gradle's files.  Out: whatever the build leaves in `target` or `build/libs`, the default web process.
"""

from __future__ import annotations

import re
import shlex
import zipfile
from collections.abc import Mapping
from pathlib import Path

from ..command import capture, run
from ..errors import BuildError
from ..java_home import Jdk, choose_jdk, find_jdks, wanted_major
from ..workspace import Buildpack, Compiled, Workspace
from .java_errors import explain_java

GRADLE = ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
MEMORY = """\
# The JVM sees the machine's memory, not the container's: MEMORY_AVAILABLE is in MB. What the app sets itself wins.
if [ -n "${MEMORY_AVAILABLE:-}" ]; then
  export JAVA_TOOL_OPTIONS="-XX:MaxRAM=${MEMORY_AVAILABLE}m -XX:MaxRAMPercentage=60 ${JAVA_TOOL_OPTIONS:-}"
fi
"""


def detect(app: Path) -> bool:
    return any((app / name).is_file() for name in ("pom.xml", *GRADLE))


def compile_app(work: Workspace) -> Compiled:
    work.output.step("Java app detected")
    jdk, version = choose_java(work)
    env = java_environment(work, jdk)
    with work.timed("install"):
        if (work.app / "pom.xml").is_file():
            build_with_maven(work, env)
        else:
            build_with_gradle(work, env)
    write_memory(work.app)
    jar, reason = runnable_jar(work.app)
    return Compiled(
        version=version,
        processes={"web": f"java -Dserver.port=$PORT $JAVA_OPTS -jar {shlex.quote(jar)}"} if jar else {},
        env=runtime_env(jdk),
        no_web=reason,
    )


def choose_java(work: Workspace) -> tuple[Jdk, str]:
    file = work.app / "system.properties"
    wanted = wanted_major(file.read_text("utf-8", "replace")) if file.is_file() else None
    own = re.search(r"java-(?:1\.)?(\d+)-", str(Path("/usr/bin/java").resolve()))
    jdk = choose_jdk(wanted, find_jdks(), int(own[1]) if own else None, work.stack.name)
    said = capture([str(jdk.home / "bin" / "java"), "--version"], {"PATH": "/usr/bin:/bin"})
    found = re.search(r"\d+(?:\.\d+)*", said)
    version = found[0] if found else str(jdk.major)
    work.output.info(f"Using Java {version} (stack {work.stack.name})")
    return jdk, version


def java_environment(work: Workspace, jdk: Jdk) -> dict[str, str]:
    return {
        **work.env,
        "JAVA_HOME": str(jdk.home),
        "PATH": f"{jdk.home}/bin:{work.env['PATH']}",
        "MAVEN_OPTS": work.env.get("MAVEN_JAVA_OPTS") or work.env.get("MAVEN_OPTS") or "-Xmx1024m",
        "MAVEN_USER_HOME": str(work.cache_dir("maven") / "home"),
        "GRADLE_USER_HOME": str(work.cache_dir("gradle")),
    }


def build_with_maven(work: Workspace, env: Mapping[str, str]) -> None:
    """The project's wrapper if it has one, else the stack's Maven. Heroku's MAVEN_ config vars count."""
    repository = work.cache_dir("maven") / "repository"
    settings = work.env.get("MAVEN_SETTINGS_PATH") or (
        "settings.xml" if (work.app / "settings.xml").is_file() else ""
    )
    argv = [*maven(work), "-B", f"-Dmaven.repo.local={repository}", *(["-s", settings] if settings else [])]
    argv += shlex.split(work.env.get("MAVEN_CUSTOM_OPTS", "-DskipTests"))
    argv += shlex.split(work.env.get("MAVEN_CUSTOM_GOALS", "clean install"))
    execute(work, argv, env, "Maven", f"-Dmaven.repo.local={repository}")


def maven(work: Workspace) -> list[str]:
    wrapper = work.app / "mvnw"
    if wrapper.is_file():
        return ["sh", "./mvnw"]
    if not capture(["mvn", "--version"], work.env):
        message = f"Stack {work.stack.name} has no Maven, and the app has no wrapper (mvnw)."
        raise BuildError("tool_missing", message, hint="Run `mvn wrapper:wrapper` and commit what it writes.")
    return ["mvn"]


def build_with_gradle(work: Workspace, env: Mapping[str, str]) -> None:
    if not (work.app / "gradlew").is_file():
        message = "The app is built by Gradle and has no wrapper (gradlew)."
        raise BuildError(
            "gradle_wrapper_missing", message, hint="Run `gradle wrapper`, commit what it writes and push."
        )
    task = work.env.get("GRADLE_TASK") or gradle_task(work.app)
    execute(work, ["sh", "./gradlew", *shlex.split(task), "--no-daemon", "--console=plain"], env, "Gradle")


def gradle_task(app: Path) -> str:
    """The task `stage` if the build declares one, as at Heroku, else everything but the tests."""
    texts = [(app / name).read_text("utf-8", "replace") for name in GRADLE if (app / name).is_file()]
    stage = re.compile(r"task\s*\(?\s*[\"']?stage\b|(register|create)\s*(<\w+>)?\s*\(\s*[\"']stage[\"']")
    return "stage" if any(stage.search(text) for text in texts) else "build -x check"


def execute(work: Workspace, argv: list[str], env: Mapping[str, str], tool: str, hidden: str = "") -> None:
    shown = " ".join(shlex.quote(word) for word in argv if word != hidden)
    work.output.step(f"Running {shown.removeprefix('sh ')}")
    done = run(argv, cwd=work.app, env=env, output=work.output)
    if done.code != 0:
        raise explain_java(done.text, tool)


def write_memory(app: Path) -> None:
    file = app / ".profile.d" / "000-paas-java.sh"
    file.parent.mkdir(exist_ok=True)
    file.write_text(MEMORY, encoding="utf-8")


def runnable_jar(app: Path) -> tuple[str, str]:
    """Return the one archive that `java -jar` starts, relative, else '' and why there is none."""
    folders = [app / "target", app / "build" / "libs"]
    found = [path for folder in folders for path in sorted(folder.glob("*.jar")) if starts(path)]
    if len(found) == 1:
        return found[0].relative_to(app).as_posix(), ""
    if found:
        return "", f"Several archives can be started: {', '.join(path.name for path in found)}."
    return "", "Neither target/ nor build/libs/ has a .jar that names its Main-Class."


def starts(jar: Path) -> bool:
    if re.search(r"-(sources|javadoc|tests|plain)\.jar$|^original-", jar.name):
        return False
    try:
        with zipfile.ZipFile(jar) as archive:
            return bool(re.search(rb"^Main-Class:", archive.read("META-INF/MANIFEST.MF"), re.MULTILINE))
    except (OSError, KeyError, zipfile.BadZipFile):
        return False


def runtime_env(jdk: Jdk) -> dict[str, str]:
    return {
        "JAVA_HOME": str(jdk.home),
        "PATH": f"{jdk.home}/bin:/usr/local/bin:/usr/bin:/bin",
        "JAVA_OPTS": "",
        "LANG": "C.UTF-8",
    }


JAVA = Buildpack("java", "Java", "pom.xml, build.gradle or settings.gradle", detect, compile_app)
