"""The mould of the fault tests as a fixture: a plugin of each of their modules, so that a session makes it once."""

import pytest
from fault_kit import Mould, make_mould


@pytest.fixture(scope="session")
def mould(tmp_path_factory: pytest.TempPathFactory) -> Mould:
    """An operator with three undisturbed nights."""
    return make_mould(tmp_path_factory.mktemp("mould"))
