"""The stack that is made once per machine, and the builder beside it."""

from pathlib import Path

import pytest

from paas.slugbuilder.image import build_builder_image
from paas.slugbuilder.stacks import StackImages
from tests import debian_stack


@pytest.fixture(scope="session")
def stack_folder() -> Path:
    return debian_stack.folder()


@pytest.fixture(scope="session")
def debian_13() -> StackImages:
    return debian_stack.made()


@pytest.fixture(scope="session")
def builder(stack_folder):
    return build_builder_image(stack_folder)
