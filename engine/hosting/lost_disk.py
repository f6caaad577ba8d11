"""Whether an instance that starts without state had some once: its disk is gone, and its restores say so."""

import logging
from collections.abc import Mapping
from typing import Any

from engine.config import EngineConfig
from engine.control import application_records
from engine.errors import BrokerUnavailable
from engine.runtime.state_directory import StateDirectory

log = logging.getLogger(__name__)


def lost_copies(
    client: Mapping[str, Any], config: EngineConfig, directory: StateDirectory
) -> frozenset[tuple[str, str]]:
    """Task and store of each copy that an instance of this name reported when it died, if the directory is new.

    To be asked before the directory gets its identity. Who stops cleanly takes its reports with it, and who chose no name
    never had this one.
    """
    if config.instance_id is None or not directory.is_new:
        return frozenset()
    try:
        return application_records.stores_of(client, config.application_id, config.instance_id)
    except BrokerUnavailable as error:
        log.warning("restores will not say whether a disk was lost: %s", error)
        return frozenset()
