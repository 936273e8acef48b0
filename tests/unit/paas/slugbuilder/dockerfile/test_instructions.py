"""What a Dockerfile says, by line."""

from paas.slugbuilder.command import Finished
from paas.slugbuilder.dockerfile.building import failure
from paas.slugbuilder.dockerfile.instructions import base_images, declared, find, heredoc, instructions

TEXT = """# syntax=docker/dockerfile:1
ARG VERSION=1 OTHER
FROM --platform=linux/amd64 paas/debian-13 AS one
# a comment
RUN a && \\
    # another
    b   c

FROM one as two
COPY --from=registry.local/tools:2 /x /x
COPY --from=0 /y /y
FROM two
RUN echo $((1<<x))
"""


def test_instructions_begin_where_they_begin() -> None:
    found = [(one.line, one.text) for one in instructions(TEXT)]
    assert found[2] == (5, "RUN a && b c")
    assert found[-1] == (13, "RUN echo $((1<<x))")


def test_a_step_is_found_however_it_is_printed() -> None:
    one = find(TEXT, "RUN a &&      b   c")
    assert one is not None
    assert one.line == 5
    assert find(TEXT, "RUN nothing") is None


def test_backticks_continue_when_the_file_says_so() -> None:
    assert [one.text for one in instructions("# escape=`\nRUN a `\n b\nRUN c:\\\nRUN d")] == [
        "RUN a b",
        "RUN c:\\",
        "RUN d",
    ]


def test_base_images_are_those_that_are_no_stage() -> None:
    assert base_images(TEXT) == ["paas/debian-13", "registry.local/tools:2"]


def test_arguments_and_heredocs() -> None:
    assert declared(TEXT) == {"VERSION", "OTHER"}
    assert heredoc(TEXT) is None
    found = heredoc("FROM scratch\nRUN --mount=type=cache,target=/x <<'EOF' bash\n")
    assert found is not None
    assert found.line == 2


def test_failures_say_the_line() -> None:
    lines = ("[1/2] STEP 2/3: RUN a &&     b   c", "boom", 'Error: building at STEP "RUN a": exit status 3')
    error = failure("web/Dockerfile", TEXT, Finished(1, lines))
    assert error.message == "web/Dockerfile, line 5: `RUN a && b c` ended with the exit code 3."
    parse = ("Error: parsing main Dockerfile: dockerfile parse error line 4: unknown instruction: FORM",)
    error = failure("Dockerfile", TEXT, Finished(125, parse))
    assert error.message.startswith("Dockerfile, line 4: ")
    assert "BuildKit" in error.hint
