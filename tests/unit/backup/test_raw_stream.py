"""A disk that comes byte by byte gives what the host's program would have sent, broken anywhere."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceso_mcp.backup import agents
from ceso_mcp.backup.answers import CompareResult
from ceso_mcp.backup.raw_stream import RawComparison, RawDecoder
from ceso_mcp.backup.sums import UNKNOWN_DIGEST, Sums, run_digests
from ceso_mcp.backup.wire import WireDecoder
from ceso_mcp.errors import StepFailed, Unreadable

BLOCK = 1 << 16
MIB = 1 << 20
KEY = bytes(range(16))

Frames = list[tuple[int, bytes]]


def disk(capacity_bytes: int, chance: random.Random, share: float) -> bytes:
    """Blocks of zeros, of data, and of a single byte at either end."""
    content = bytearray(capacity_bytes)
    for at in range(0, capacity_bytes, BLOCK):
        size = min(BLOCK, capacity_bytes - at)
        if chance.random() < share:
            content[at : at + size] = chance.randbytes(size)
        elif chance.random() < 0.1:
            content[at + chance.choice((0, size - 1))] = 1
    return bytes(content)


def digests_of(content: bytes, block: int = BLOCK) -> bytearray:
    pieces = (content[at : at + block] for at in range(0, len(content), block))
    return bytearray(b"".join(run_digests(p, block, KEY) if any(p) else bytes(16) for p in pieces))


def from_the_program(flat: Path, capacity_bytes: int, block: int, known: bytearray | None) -> Frames:
    command = [sys.executable, "-S", "-c", agents.LOADER, "read", str(flat), str(capacity_bytes), str(block)]
    payload = agents.agent_stdin("read") + agents.resume_payload(0)
    if known is not None:
        payload += b"".join(agents.known_payload(KEY, known, 0))
    command += [*(["changed"] if known is not None else [])]
    sent = subprocess.run(command, input=payload, capture_output=True, check=True, timeout=30).stdout
    decoder = WireDecoder(capacity_bytes, block)
    frames = list(decoder.feed(sent))
    assert decoder.complete
    return frames


def broken(decoder: RawDecoder, content: bytes, chance: random.Random, breaks: int) -> Frames:
    """Everything in pieces of any size; `breaks` times the rest of a piece is lost and read again."""
    frames: Frames = []
    at = 0
    while at < len(content):
        piece = content[at : at + chance.choice((1, 511, 70_000, MIB, MIB + 1, 3 * MIB))]
        frames += decoder.feed(piece)
        at += len(piece)
        if breaks and chance.random() < 0.3:
            breaks -= 1
            at = decoder.resume()
    return frames


SIZES = st.sampled_from([512, BLOCK, BLOCK + 512, MIB, MIB + 512, 3 * MIB - BLOCK, (4 << 20) + 7 * 512])


@settings(max_examples=25, deadline=None)
@given(
    capacity_bytes=SIZES,
    block=st.sampled_from([BLOCK, 2 * MIB]),
    share=st.sampled_from([0.0, 0.3, 0.9]),
    parent=st.booleans(),
    seed=st.integers(0, 1 << 32),
)
def test_both_ways_give_the_same_frames(
    tmp_path_factory: pytest.TempPathFactory,
    capacity_bytes: int,
    block: int,
    share: float,
    parent: bool,
    seed: int,
) -> None:
    chance = random.Random(seed)
    content = disk(capacity_bytes, chance, share)
    known = None
    if parent:
        before = bytearray(content)
        for at in range(0, capacity_bytes, BLOCK):
            if chance.random() < 0.3:
                size = min(BLOCK, capacity_bytes - at)
                before[at : at + size] = chance.choice((bytes(size), chance.randbytes(size)))
        known = digests_of(bytes(before), block)
        for at in range(0, len(known), 16):
            if chance.random() < 0.1:
                known[at : at + 16] = UNKNOWN_DIGEST
    flat = tmp_path_factory.mktemp("disk") / "a-flat.vmdk"
    flat.write_bytes(content)
    decoder = RawDecoder(capacity_bytes, block, KEY, known)
    frames = broken(decoder, content, chance, breaks=3)
    assert decoder.complete
    assert frames == from_the_program(flat, capacity_bytes, block, known)


def test_a_short_stream_is_not_complete_and_a_long_one_is_refused() -> None:
    decoder = RawDecoder(MIB + 512, BLOCK)
    assert list(decoder.feed(bytes(MIB + 511))) == []
    assert not decoder.complete
    assert decoder.position == MIB
    assert f"after byte {MIB} of {MIB + 512}" in decoder.shortfall
    assert list(decoder.feed(b"x")) == [(MIB, bytes(511) + b"x")]
    assert decoder.complete
    with pytest.raises(Unreadable, match="there is more"):
        list(decoder.feed(b"y"))


def test_a_comparison_finds_what_the_host_would_find_though_it_broke_off() -> None:
    chance = random.Random(3)
    content = disk((20 << 20) + 512, chance, 0.5)
    sums = Sums(len(content), BLOCK, KEY, bytes(digests_of(content)))
    places = [BLOCK * n for n in range(0, 200, 10)] + [20 << 20]
    changed = bytearray(content)
    for at in places:
        changed[at] ^= 1
    for found, different in ((content, []), (bytes(changed), places)):
        comparison = RawComparison(sums)
        half = (5 << 20) + 17
        comparison.feed(found[:half])
        assert comparison.resume() == 5 << 20
        with pytest.raises(Unreadable, match="stopped after byte"):
            comparison.result()
        comparison.feed(found[5 << 20 :])
        assert comparison.share == 1.0
        assert comparison.result() == CompareResult(321, len(different), tuple(different[:16]))
    with pytest.raises(StepFailed) as caught:
        comparison.result().require_same()
    assert caught.value.code == "restore_differs"
    assert f"{len(places)} of 321 blocks differ from the backup, at 0, {10 * BLOCK}, " in caught.value.message
    with pytest.raises(Unreadable, match="there is more"):
        comparison.feed(b"x")


def test_a_block_that_became_zero_or_was_zero_differs() -> None:
    content = b"x" * BLOCK + bytes(BLOCK)
    sums = Sums(len(content), BLOCK, KEY, bytes(digests_of(content)))
    comparison = RawComparison(sums)
    comparison.feed(bytes(BLOCK) + b"x" + bytes(BLOCK - 1))
    assert comparison.result() == CompareResult(2, 2, (0, BLOCK))
