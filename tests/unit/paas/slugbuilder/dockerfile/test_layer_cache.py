"""What of an app's kept layers outlives a build that did not go well."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.slugbuilder.dockerfile.building import fresh_if_killed
from paas.slugbuilder.errors import BuildError

pytestmark = pytest.mark.unit


class Killed(BaseException):
    """Stands for an end at any line."""


@pytest.mark.parametrize(("end", "kept"), [(BuildError("dockerfile_failed", "no"), True), (Killed(), False)])
def test_a_failed_step_keeps_the_layers_and_a_kill_does_not(
    tmp_path: Path, end: BaseException, kept: bool
) -> None:
    layer = tmp_path / "store" / "layer"
    layer.parent.mkdir()
    layer.touch()
    with pytest.raises(type(end)), fresh_if_killed(tmp_path):
        raise end
    with fresh_if_killed(tmp_path):
        assert layer.exists() == kept
