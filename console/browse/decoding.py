"""Bytes of a changelog as the engine's entries show them: by the store's serde, as far as its name says how.

The console has no serdes of an application's own: those bytes come as base64, like the engine's undecodable ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from console.browse import avro
from engine.query import encoding

if TYPE_CHECKING:
    from console.browse.avro import Avro
    from engine.query.encoding import Codec


@dataclass(frozen=True, slots=True)
class Decoder:
    """One side, key or value, of a store. ``serde`` is its name; ``is_known`` whether its bytes can be read here."""

    serde: str
    is_known: bool
    codec: Codec | Avro

    def shown(self, raw: bytes) -> Any:
        """Return the JSON form; integers that JavaScript would round are decimal strings."""
        form = self.codec.to_json(raw)
        if not self.is_known:
            form |= {"undecodable": f"the console does not have the serde {self.serde}"}
        return orjson.loads(encoding.write(form))


def decoder(serde: str | None, override: str | None = None, parameter: str = "", topic: str | None = None) -> Decoder:
    """Return the decoder of a serde's name, or of the format that a reader asked for. Raises the engine's ``Refusal``.

    ``topic`` is the changelog: keys in Avro are written by its newest schema.
    """
    if override == avro.FORMAT:
        return Decoder(avro.FORMAT, True, avro.Avro(topic))  # noqa: FBT003 - named by the class
    name = override or serde or "bytes"
    if override is None and name not in encoding.FORMATS:
        return Decoder(name, False, encoding.codec(None, "bytes", parameter))  # noqa: FBT003 - named by the class
    return Decoder(name, True, encoding.codec(None, name, parameter))  # noqa: FBT003 - named by the class
