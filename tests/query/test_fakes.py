"""The fake instance keeps the contract that the runtime's keeps."""

import pytest

from tests.query.contract import InstanceContract
from tests.query.test_entries import instance_with


class TestFakeInstance(InstanceContract):
    @pytest.fixture
    def instance(self):
        return instance_with([("UA", 1), ("DL", 2)])
