"""Decoding apart from the server: the same pixels, and whatever a file does, the server lives."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import zlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsfiqa.errors import ImageError
from rsfiqa.images import LoadedImage, load_image
from rsfiqa.service import decoder as decoder_module
from rsfiqa.service.decoder import Decoder, DecoderError
from rsfiqa.service.decoding import DecoderPool, PixelBudget
from rsfiqa.service.settings import ServiceSettings
from service_world import PATIENT, encoded, limits

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF")
LIMITS = limits(max_pixels=250_000)


@pytest.fixture(scope="module")
def decode() -> Iterator[Callable[[bytes, str], LoadedImage]]:
    """One decoder for many files, replaced where one broke it."""
    decoders = [Decoder(LIMITS)]

    def call(data: bytes, name: str) -> LoadedImage:
        try:
            return decoders[-1].fetch(decoders[-1].begin(data, name), name, data)
        except DecoderError as error:
            decoders[-1].close()
            decoders.append(Decoder(LIMITS))
            raise ImageError("the decoder ended") from error

    yield call
    decoders[-1].close()


def sample(kind: str) -> bytes:
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8).repeat(5, 0).repeat(5, 1)
    return encoded(pixels, kind)


SAMPLES = {kind: sample(kind) for kind in FORMATS}


@pytest.mark.parametrize("kind", FORMATS)
def test_decoders_give_what_load_image_gives(
    decode: Callable[[bytes, str], LoadedImage], kind: str
) -> None:
    data = SAMPLES[kind]
    apart, here = decode(data, "a"), load_image(data, name="a")
    assert (apart.pixels == here.pixels).all()
    assert (apart.sha256, apart.name, apart.notes) == (here.sha256, here.name, here.notes)


@given(
    kind=st.sampled_from(FORMATS),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
    kept=st.floats(0, 1),
    doubled=st.booleans(),
)
@settings(max_examples=150)
def test_a_mutated_file_is_a_picture_or_an_image_error(
    decode: Callable[[bytes, str], LoadedImage],
    kind: str,
    changes: list[tuple[float, int]],
    kept: float,
    doubled: bool,
) -> None:
    data = bytearray(SAMPLES[kind])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    if kept < 0.3:
        data = data[: int(kept / 0.3 * len(data))]
    if doubled:
        data = data * 2
    try:
        loaded = decode(bytes(data), "mutated")
    except ImageError as error:
        assert str(error)
    else:
        assert loaded.pixels.dtype == np.uint8
        assert loaded.height * loaded.width <= LIMITS.max_pixels


def in_pool(
    work: Callable[[DecoderPool], Coroutine[Any, Any, Any]], settings: ServiceSettings = LIMITS
) -> Any:
    async def run() -> Any:
        pool = DecoderPool(settings)
        try:
            return await asyncio.wait_for(work(pool), 3 * PATIENT)
        finally:
            pool.close()

    return asyncio.run(run())


async def size_of(pool: DecoderPool, data: bytes) -> tuple[int, int]:
    async with pool.decoded(data, "a") as loaded:
        return loaded.width, loaded.height


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
def test_a_bomb_breaks_its_decoder_at_most() -> None:
    # The pixels are within the limit, the memory is not.
    small = limits(max_pixels=60_000_000, decode_memory=30_000_000, decoders=1)
    bomb = encoded(0, size=(7000, 7000))

    async def work(pool: DecoderPool) -> tuple[int, int]:
        with pytest.raises(ImageError, match="memory"):
            await size_of(pool, bomb)
        return await size_of(pool, encoded())

    assert in_pool(work, small) == (60, 48)


def test_too_many_pixels_are_refused_by_the_header_alone() -> None:
    # The header says 40,000 by 40,000; there is nothing behind it.
    data = bytearray(encoded())
    data[16:24] = (40_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")

    async def work(pool: DecoderPool) -> None:
        with pytest.raises(ImageError, match="40000x40000"):
            await size_of(pool, bytes(data))

    in_pool(work)


def test_a_decoder_that_takes_too_long_is_ended() -> None:
    hasty = limits(max_pixels=250_000, decode_within=0.01, decoders=1)

    async def work(pool: DecoderPool) -> None:
        for _ in range(2):  # the second by a new decoder
            with pytest.raises(ImageError, match="seconds"):
                await size_of(pool, encoded())

    in_pool(work, hasty)


def test_time_that_is_over_before_the_decoder_has_started_is_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OverAtOnce:
        """A timer of a machine that has other work to do."""

        def __init__(self, _: float, end: Callable[[], None]) -> None:
            self.start, self.cancel = end, lambda: None

    monkeypatch.setattr(decoder_module, "Timer", OverAtOnce)
    decoder = Decoder(LIMITS)
    with pytest.raises(ImageError, match="not decoded within 120 seconds"):
        decoder.begin(encoded(), "a")
    assert decoder.broken
    decoder.close()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_decoder_is_replaced() -> None:
    async def work(pool: DecoderPool) -> list[tuple[int, int]]:
        sizes = [await size_of(pool, encoded())]
        for decoder in list(pool._all):
            if decoder._process is not None:
                decoder._process.kill()
                decoder._process.wait()
        with pytest.raises(ImageError, match="cannot be decoded"):
            await size_of(pool, encoded())
        return [*sizes, await size_of(pool, encoded())]

    assert in_pool(work) == [(60, 48)] * 2


def test_cancelled_decoding_leaves_the_pool_whole() -> None:
    async def work(pool: DecoderPool) -> list[tuple[int, int]]:
        tasks = [asyncio.ensure_future(size_of(pool, encoded())) for _ in range(8)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [await size_of(pool, encoded()) for _ in range(2 * LIMITS.decoders)]

    assert in_pool(work) == [(60, 48)] * 2 * LIMITS.decoders


def test_decoders_do_not_see_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSFIQA_API_KEY", "secret")
    decoder = Decoder(LIMITS)
    try:
        decoder.begin(encoded(), "a")
        environment = f"/proc/{decoder._process.pid}/environ"  # type: ignore[union-attr]
        if not os.path.exists(environment):  # noqa: PTH110
            pytest.skip("no /proc here")
        with open(environment, "rb") as file:  # noqa: PTH123
            assert b"RSFIQA_API_KEY" not in file.read()
    finally:
        decoder.close()


def test_a_decoder_is_not_believed_what_cannot_be() -> None:
    decoder = Decoder(LIMITS)
    for line in (b"{}", b"nonsense", b'{"height": 9999, "width": 9999, "notes": []}', b"[]"):
        with pytest.raises(DecoderError):
            decoder._header(line)
    with pytest.raises(ImageError, match="too bad"):
        decoder._header(b'{"error": "too bad"}')


@given(st.lists(st.tuples(st.integers(1, 15), st.booleans()), max_size=20))
def test_the_budget_of_pixels_holds_and_everybody_gets_in(wants: list[tuple[int, bool]]) -> None:
    async def run() -> None:
        budget = PixelBudget(10)
        held, done = 0, 0

        async def one(pixels: int) -> None:
            nonlocal held, done
            async with budget.hold(pixels):
                held += min(pixels, 10)
                assert held <= 10
                try:
                    await asyncio.sleep(0)
                finally:
                    held -= min(pixels, 10)
            done += 1

        tasks = [asyncio.ensure_future(one(pixels)) for pixels, _ in wants]
        await asyncio.sleep(0)
        left = [task for task, (_, leaves) in zip(tasks, wants, strict=True) if leaves]
        for task in left:
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENT)
        assert done >= len(wants) - len(left)
        async with budget.hold(10):
            pass

    asyncio.run(run())


def test_sixteen_bit_and_transparent_pictures_are_as_without_a_decoder(
    decode: Callable[[bytes, str], LoadedImage],
) -> None:
    for mode in ("I;16", "RGBA", "CMYK", "P", "1"):
        buffer = io.BytesIO()
        Image.new(mode, (40, 50)).save(buffer, "TIFF")
        data = buffer.getvalue()
        assert (decode(data, mode).pixels == load_image(data, name=mode).pixels).all()
