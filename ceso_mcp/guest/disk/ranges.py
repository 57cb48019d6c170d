"""Ranges of a disk, readers that ask for them, and volumes that lie on a disk in pieces."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


class Unknown(Exception):
    """What cannot be read, and why, in words that go on from "it is not known what it holds:"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Range:
    """`length` bytes from `start` on."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


Asking = Generator[Sequence[Range], Sequence[bytes], T]
"""A reader: yields the ranges of one round, is sent their bytes in order, returns what it read."""


def ask(start: int, length: int) -> Asking[bytes]:
    """The bytes of one range."""
    (data,) = yield [Range(start, length)]
    return data


def settled(reading: Asking[T]) -> Asking[T | Unknown]:
    """What `reading` returns, or the `Unknown` that it raises."""
    try:
        return (yield from reading)
    except Unknown as reason:
        return reason


def together(readings: Sequence[Asking[Any]]) -> Asking[list[Any]]:
    """What several readings return; their rounds are joined, so that they take no longer than the longest."""
    results: list[Any] = [None] * len(readings)
    waiting: list[tuple[int, Sequence[Range]]] = []

    def advance(index: int, answer: Sequence[bytes] | None) -> None:
        try:
            asked = readings[index].send(answer)  # type: ignore[arg-type]
        except StopIteration as stop:
            results[index] = stop.value
        else:
            waiting.append((index, asked))

    for index in range(len(readings)):
        advance(index, None)
    while waiting:
        current, waiting = waiting, []
        answers = yield [wanted for _, asked in current for wanted in asked]
        position = 0
        for index, asked in current:
            advance(index, answers[position : position + len(asked)])
            position += len(asked)
    return results


@dataclass(frozen=True, slots=True)
class Piece:
    """`length` bytes of a volume from `start` on lie on the disk from `disk_start` on."""

    start: int
    length: int
    disk_start: int


@dataclass(frozen=True, slots=True)
class Volume:
    """Something with bytes of its own that lie on the disk: a partition or a logical volume.

    `pieces` are in order and without gaps.
    """

    name: str
    pieces: tuple[Piece, ...]

    @classmethod
    def plain(cls, name: str, start: int, length: int) -> Volume:
        return cls(name, (Piece(0, length, start),))

    @property
    def size_bytes(self) -> int:
        return sum(piece.length for piece in self.pieces)

    def over(self, lower: Volume) -> Volume:
        """This volume, whose pieces lie on the volume `lower`, as one whose pieces lie where `lower`'s do."""
        pieces: list[Piece] = []
        at = 0
        for piece in self.pieces:
            for place in lower.on_disk(Range(piece.disk_start, piece.length)):
                pieces.append(Piece(at, place.length, place.start))
                at += place.length
        return Volume(self.name, tuple(pieces))

    def on_disk(self, wanted: Range) -> list[Range]:
        """Where a range of the volume lies; raises Unknown beyond its end."""
        if wanted.start < 0 or wanted.length < 0 or wanted.end > self.size_bytes:
            raise Unknown(f"{self.name} names bytes beyond its end, so it is damaged")
        found = []
        for piece in self.pieces:
            start, end = max(wanted.start, piece.start), min(wanted.end, piece.start + piece.length)
            if start < end:
                found.append(Range(piece.disk_start + start - piece.start, end - start))
        return found


def on(volume: Volume, reading: Asking[T]) -> Asking[T]:
    """`reading`, which asks for ranges of `volume`, as one that asks for ranges of the disk."""
    answer: Sequence[bytes] | None = None
    while True:
        try:
            asked = reading.send(answer)  # type: ignore[arg-type]
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        places = [volume.on_disk(wanted) for wanted in asked]
        parts = yield [place for group in places for place in group]
        answer, position = [], 0
        for group in places:
            answer.append(b"".join(parts[position : position + len(group)]))
            position += len(group)
