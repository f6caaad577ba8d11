"""The table of adapters by section."""

from typing import Any

SECTIONS: dict[str, Any] = {}
