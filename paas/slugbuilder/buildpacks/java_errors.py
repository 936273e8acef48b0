"""What Maven, Gradle and javac print when they fail, in the pusher's words.

In: their output.  Out: a BuildError: what did not work, the cause, what to do.
"""

from __future__ import annotations

import re

from ..errors import BuildError
from ..failure_rules import Rule, explain, rule


def explain_java(text: str, tool: str) -> BuildError:
    found = explain(RULES, text, tool=tool)
    return found or BuildError("java_build_failed", f"{tool} failed.", details=error_lines(text), hint=CLEAN)


CLEAN = "Build a clean clone on your machine, correct it and push again."


def error_lines(text: str) -> tuple[str, ...]:
    """Lines that tell the cause, without Maven's advice."""
    noise = re.compile(
        r"Re-run Maven|For more information|\[Help \d+\]|full stack trace|^\[ERROR\]\s*$|-> \[Help"
    )
    wanted = re.compile(r"^\[ERROR\]|error:|^\* What went wrong|^> |FAILED|Could not|Exception")
    lines = [line for line in text.splitlines() if wanted.search(line) and not noise.search(line)]
    return tuple(line.removeprefix("[ERROR] ").strip()[:200] for line in lines)[:10]


RULES: tuple[Rule, ...] = (
    rule(
        r"release version (?P<wanted>\S+) not supported|invalid (source|target) release: (?P<other>\S+)|"
        r"Unsupported class file major version|error: invalid flag: --release",
        "java_version_unsupported",
        "The code asks for Java {wanted}{other}, which this JDK does not compile for.",
        "Set java.runtime.version in system.properties to a version of the stack that is as new, or ask for an older "
        "one in the build file.",
        error_lines,
    ),
    rule(
        r"COMPILATION ERROR|Compilation failed|compileJava FAILED|\.java:\d+: error:",
        "java_compile_failed",
        "The Java code does not compile.",
        CLEAN,
        error_lines,
    ),
    rule(
        r"There are test failures|There were failing tests",
        "java_tests_failed",
        "Tests of the app failed.",
        "They run because the build asks for them: MAVEN_CUSTOM_OPTS or GRADLE_TASK leaves them out.",
        error_lines,
    ),
    rule(
        r"Unknown host|UnknownHostException|Connection refused|Connect(ion)? timed out|Network is unreachable|"
        r"Cannot access \S+ \(\S+\) in offline mode|Could not (GET|HEAD)|Failed to fetch|Error: Could not download|"
        r"transfer failed for http",
        "registry_unreachable",
        "{tool} could not fetch what the build needs: a repository cannot be reached from the build.",
        "Name one that can be reached: a mirror in settings.xml (MAVEN_SETTINGS_PATH), or a repository in the Gradle "
        "build.",
        error_lines,
    ),
    rule(
        r"Could not (find|resolve) (artifact )?(?P<artifact>[\w.-]+:[\w.:-]+)|"
        r"Could not resolve dependencies for project (?P<project>\S+)",
        "requirements_unresolvable",
        "{tool} did not find {artifact}{project}.",
        "Correct the version or the repositories in the build file and push again.",
        error_lines,
    ),
    rule(
        r"Non-parseable POM|Malformed POM|Could not compile build file|Script compilation error",
        "java_build_file_invalid",
        "{tool} cannot read the build file.",
        "Correct the line below, commit and push again.",
        error_lines,
    ),
    rule(
        r"OutOfMemoryError|insufficient memory for the Java Runtime|GC overhead limit",
        "build_memory",
        "{tool} needed more memory than it had.",
        "Set MAVEN_JAVA_OPTS=-Xmx1400m, or org.gradle.jvmargs in gradle.properties; a build has 2 GB.",
    ),
)
