"""The spool: files beside the inbox, for as long as PostgreSQL is away.

A group of entries is one record behind its length and its checksum, and is on disk before anybody is answered. Each
file (a segment) is written by one process, which holds its lock; whoever can take the lock later moves it into the
inbox (see moving.py). A record that was not written to its end was never acknowledged and is cut off; one that was
damaged later is skipped and told.
"""

import fcntl
import os
import shutil
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
from django.conf import settings

from apps.ingest.entries import Entry

SEGMENT_BYTES = 64 * 1024 * 1024
_SUFFIX = ".segment"
_MARK = b"\x8fRP1"
_HEAD = struct.Struct("<4sIIH")  # mark, bytes of the record, their CRC-32 begun with the next, entries in it


class SpoolFull(Exception):
    """The spool has its SPOOL_MAX_BYTES, or the disk would have less than DISK_FLOOR_BYTES left, or it is broken."""


class Group(msgspec.Struct, array_like=True):
    """Entries that are answered together, and when they came (microseconds since 1970).

    With a `writer` nobody knows whether they are in the inbox already: they are if that writer's number got that far.
    """

    received_us: int
    entries: list[Entry]
    writer: bytes = b""
    number: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Group).decode


def directory() -> Path:
    """Where the segments are."""
    return Path(settings.DATA_DIR) / "spool"


def segments() -> list[Path]:
    """All segments, also those that somebody writes."""
    try:
        with os.scandir(directory()) as found:
            return sorted(Path(entry.path) for entry in found if entry.name.endswith(_SUFFIX))
    except FileNotFoundError:
        return []


def size_bytes() -> int:
    """Bytes of all segments."""
    total = 0
    for path in segments():
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # moved in this moment
            continue
    return total


def disk_is_full() -> bool:
    """Whether less than DISK_FLOOR_BYTES is free where the spool and the embedded servers are."""
    return shutil.disk_usage(settings.DATA_DIR).free < settings.DISK_FLOOR_BYTES


# --- Writing ------------------------------------------------------------------------------------------------------
class Spool:
    """The segment that this process writes, if any. Safe for threads; a fork must begin its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: int | None = None
        self._end = 0

    def append(self, group: Group) -> None:
        """Return once the group is on disk. Raises SpoolFull if it cannot be, and then leaves nothing of it behind."""
        body = _encode(group)
        record = _HEAD.pack(_MARK, len(body), zlib.crc32(body, len(group.entries)), len(group.entries)) + body
        with self._lock:
            if size_bytes() + len(record) > settings.SPOOL_MAX_BYTES:
                raise SpoolFull("the spool is full")
            try:
                if disk_is_full():
                    raise SpoolFull("the disk is nearly full")
                self._write(record)
            except OSError as error:
                self._undo()
                raise SpoolFull(f"the spool cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the segment, for whoever moves it."""
        with self._lock:
            self._release()

    def _write(self, record: bytes) -> None:
        if self._file is None or self._end > SEGMENT_BYTES:
            self._release()
            self._begin()
        assert self._file is not None
        rest = memoryview(record)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fdatasync(self._file)
        self._end += len(record)

    def _begin(self) -> None:
        place = directory()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        while self._file is None:
            self._file = os.open(place / f"{uuid4().hex}{_SUFFIX}", flags, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if not os.fstat(
                self._file
            ).st_nlink:  # somebody was quicker, and took it for what a dead process left
                self._release()
        self._end = 0
        sync_directory(place)

    def _undo(self) -> None:
        """Cut off what was not written to its end, and begin another segment next time: this one's disk failed us."""
        if self._file is not None:
            try:
                os.ftruncate(self._file, self._end)
                os.fdatasync(self._file)
            except OSError:  # then its checksum tells
                pass
            self._release()

    def _release(self) -> None:
        if self._file is not None:
            os.close(self._file)  # and with it the lock
        self._file = None


def sync_directory(path: Path) -> None:
    """Names in it are durable after this."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- Reading ------------------------------------------------------------------------------------------------------
@dataclass
class Piece:
    """What a stretch of a segment holds: groups, what is damaged, and where the stretch ends."""

    groups: list[Group] = field(default_factory=list)
    damaged: list[bytes] = field(default_factory=list)
    end: int = 0


@dataclass(frozen=True)
class Segment:
    """A segment that nobody else holds; its id is its name."""

    id: UUID
    path: Path
    handle: int

    def read(self, start: int, most: int) -> Piece:
        """Whole records from `start` on, about `most` bytes and at least one. Ends at `start` if none is left."""
        piece = Piece(end=start)
        while piece.end - start < most:
            record = self._record(piece.end)
            if record is None:
                break
            group, raw = record
            piece.end += len(raw)
            if group is None:
                piece.damaged.append(raw)
            else:
                piece.groups.append(group)
        return piece

    def _record(self, at: int) -> tuple[Group | None, bytes] | None:
        """The record at `at` with its bytes, (None, bytes) for a damaged stretch, None at the end or a torn tail."""
        left = os.fstat(self.handle).st_size - at
        head = os.pread(self.handle, _HEAD.size, at)
        if len(head) == _HEAD.size and head.startswith(_MARK):
            _, length, checksum, entries = _HEAD.unpack(head)
            raw = os.pread(self.handle, min(_HEAD.size + length, left), at)
            body = raw[_HEAD.size :]
            if len(body) == length and zlib.crc32(body, entries) == checksum:
                return _decoded(body), raw
        return self._damaged(at)

    def _damaged(self, at: int) -> tuple[None, bytes] | None:
        """Up to the next whole record; a rest without one is torn, unless it is long enough to have been whole."""
        rest = os.pread(self.handle, os.fstat(self.handle).st_size - at, at)
        following = rest.find(_MARK, 1)
        while following >= 0 and not _is_whole(rest, following):
            following = rest.find(_MARK, following + 1)
        if following < 0 and not _was_acknowledged(rest):
            return None
        return None, rest[:following] if following >= 0 else rest

    def remove(self) -> None:
        """All of it is in the inbox."""
        self.path.unlink(missing_ok=True)
        sync_directory(self.path.parent)


def _decoded(body: bytes) -> Group | None:
    """None for what no version of ours wrote so."""
    try:
        return _decode(body)
    except msgspec.DecodeError:
        return None


def _is_whole(data: bytes, at: int) -> bool:
    if len(data) < at + _HEAD.size:
        return False
    length, checksum, entries = _HEAD.unpack_from(data, at)[1:]
    body = data[at + _HEAD.size : at + _HEAD.size + length]
    return len(body) == length and zlib.crc32(body, entries) == int(checksum)


def _was_acknowledged(rest: bytes) -> bool:
    """Whether bytes without a whole record may be one that was: a torn one is shorter than it says."""
    if len(rest) < _HEAD.size:
        return False
    length = int(_HEAD.unpack_from(rest)[1])
    return not rest.startswith(_MARK) or len(rest) >= _HEAD.size + length


@contextmanager
def held(path: Path) -> Iterator[Segment | None]:
    """The segment with its lock; None while somebody else has it, or if it has been moved."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        yield None
        return
    try:
        yield Segment(UUID(path.stem), path, handle) if os.fstat(handle).st_nlink else None
    finally:
        os.close(handle)


def waiting() -> int:
    """How many entries lie in segments, as their records say: headers alone are read."""
    return sum(map(_entries_in, segments()))


def _entries_in(path: Path) -> int:
    total = at = 0
    try:
        with path.open("rb") as file:
            while len(head := file.read(_HEAD.size)) == _HEAD.size and head.startswith(_MARK):
                _, length, _, entries = _HEAD.unpack(head)
                total += entries
                at += _HEAD.size + length
                file.seek(at)
    except FileNotFoundError:
        return 0
    return total
