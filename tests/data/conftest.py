"""What tests of preparing share."""

import pytest
from preparing import GOOD, contents, hundred, make


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A folder of 100 pictures, five of which cannot be used; nobody writes into it."""
    return hundred(tmp_path_factory.mktemp("hundred") / "source")


@pytest.fixture(scope="session")
def whole(source, tmp_path_factory):
    """The set that one uninterrupted command made of it: name -> bytes."""
    dest = tmp_path_factory.mktemp("whole") / "dest"
    done = make(source, dest)
    assert (done.pictures, done.before, done.path) == (GOOD, 0, dest)
    return contents(dest)
