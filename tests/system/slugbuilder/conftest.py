"""Stacks are made once per machine and kept between runs: PAAS_TEST_STACKS names the folder."""

import os
from pathlib import Path

import pytest

from paas.slugbuilder.image import build_builder_image
from paas.slugbuilder.stacks import make_stack


@pytest.fixture(scope="session")
def stack_folder():
    return Path(os.environ.get("PAAS_TEST_STACKS", "/var/tmp/paas-test-stacks"))


@pytest.fixture(scope="session")
def debian_13(stack_folder):
    return make_stack("debian-13", stack_folder, print)


@pytest.fixture(scope="session")
def builder(stack_folder):
    return build_builder_image(stack_folder)
