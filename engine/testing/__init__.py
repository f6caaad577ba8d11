"""What users test their topologies with: the driver, which runs the very task code of production without a broker."""

from __future__ import annotations

from engine.testing.driver import TopologyTestDriver
from engine.testing.topics import TestInputTopic, TestOutputTopic

__all__ = ["TestInputTopic", "TestOutputTopic", "TopologyTestDriver"]
