"""The sample photographs: all there without a download, all uint8 RGB."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from rsfiqa.errors import ConfigError
from rsfiqa.samples import sample_names, sample_picture


@pytest.mark.parametrize("name", sample_names())
def test_a_sample_is_an_rgb_photograph(name: str) -> None:
    pixels = sample_picture(name)

    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert min(pixels.shape[:2]) >= 300
    assert pixels.std() > 10


def test_samples_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a sample picture asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in sample_names():
        sample_picture(name)


def test_each_call_gives_an_array_of_its_own() -> None:
    first = sample_picture("china")
    first[:] = 0

    assert sample_picture("china").any()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'lena'.*astronaut.*rocket"):
        sample_picture("lena")
