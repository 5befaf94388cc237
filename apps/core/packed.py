"""A JSON document that is only read as a whole, packed before it reaches the database.

PostgreSQL's own compression of an event's payload takes ten times as long as zstd and leaves twice as much, and parsing
it into jsonb serves nobody who never asks for a part of it.
"""

import threading
from typing import Any

import orjson
import zstandard
from django.db import models

_PLAIN, _ZSTD = b"\x00", b"\x01"
_WORTH_PACKING = 200
MAX_UNPACKED = 64 * 1024 * 1024


class _Packers(threading.local):
    """One of each for a thread: they are not safe to share."""

    def __init__(self) -> None:
        self.pack = zstandard.ZstdCompressor(level=1, write_checksum=False).compress
        self.unpack = zstandard.ZstdDecompressor().decompress


_packers = _Packers()


def pack(document: Any) -> bytes:
    """JSON, packed where that is worth it, behind one byte that says how; bytes are taken for packed already."""
    if isinstance(document, bytes):
        return document
    plain = orjson.dumps(document)
    return _PLAIN + plain if len(plain) < _WORTH_PACKING else _ZSTD + _packers.pack(plain)


def unpack(packed: bytes) -> Any:
    """The document behind `pack`; None for nothing."""
    kind, rest = packed[:1], bytes(packed[1:])
    if not kind:
        return None
    return orjson.loads(_packers.unpack(rest, max_output_size=MAX_UNPACKED) if kind == _ZSTD else rest)


class PackedJSONField(models.BinaryField):  # type: ignore[type-arg]
    """JSON in a bytea column. Not for querying: the database sees bytes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """The document."""
        return None if value is None else unpack(bytes(value))

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """The bytes."""
        return None if value is None else super().get_db_prep_value(pack(value), connection, prepared)

    def value_to_string(self, obj: Any) -> str:
        """JSON, for dumps of the whole table."""
        return orjson.dumps(self.value_from_object(obj)).decode()

    def to_python(self, value: Any) -> Any:
        """The document, also from a dump."""
        return orjson.loads(value) if isinstance(value, str) else value
