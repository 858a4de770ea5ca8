"""A recording as a listener wants it: one row of samples at one rate, cut where nobody speaks. Trusts no header."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
RATES = range(4_000, 192_001)  # samples a second that a recording may have
CHANNELS = 8
PIECE = 28.0  # seconds heard at a time: what Whisper was taught is 30
LAST = 6.0  # of these, in how many the quietest place is looked for
FRAME = 0.1  # seconds that are quiet or not
SILENT = 0.003  # root mean square below which nobody speaks (-50 dB)


class Unreadable(Exception):
    """These bytes are no recording that can be listened to; the text says why and quotes nothing of it."""


class Opened(Protocol):
    """What soundfile.SoundFile gives of a file."""

    samplerate: int
    channels: int

    def blocks(self, blocksize: int, *, dtype: str, always_2d: bool) -> Iterator[NDArray[Any]]:
        """So many frames at a time, each a row of channels."""


Open = Callable[[Path], AbstractContextManager[Opened]]


def decode(path: Path, rate: int, longest: float, opened: Open) -> Samples:
    """The recording in mono at `rate`. Raises Unreadable, also when it is longer than `longest` seconds.

    It is read a second at a time and left as soon as it is too long: a header may promise anything, and a small file
    may hold days of silence.
    """
    try:
        with opened(path) as file:
            own, channels = int(file.samplerate), int(file.channels)
            if own not in RATES or not 1 <= channels <= CHANNELS:
                raise Unreadable(f"{own} samples a second on {channels} channels")
            blocks, frames = [], 0
            for block in file.blocks(own, dtype="float32", always_2d=True):
                frames += len(block)
                if frames > longest * own:
                    raise Unreadable(f"longer than {longest:g} s")
                blocks.append(np.nan_to_num(block.mean(axis=1), posinf=0.0, neginf=0.0).astype(np.float32))
    except Unreadable:
        raise
    except Exception as why:  # what a library makes of a hostile file is its own affair
        raise Unreadable(type(why).__name__) from why
    if not frames:
        raise Unreadable("empty")
    return resampled(np.clip(np.concatenate(blocks), -1.0, 1.0), own, rate)


def resampled(samples: Samples, own: int, rate: int) -> Samples:
    """At another rate, without what the new one cannot hold. In the frequencies of a whole number of seconds."""
    if own == rate:
        return samples
    seconds = -(-len(samples) // own)
    spectrum = np.fft.rfft(samples, seconds * own)
    wanted = np.zeros(seconds * rate // 2 + 1, dtype=spectrum.dtype)
    both = min(len(spectrum), len(wanted))
    wanted[:both] = spectrum[:both]
    out = np.fft.irfft(wanted, seconds * rate) * (rate / own)
    return out[: round(len(samples) * rate / own)].astype(np.float32)


def pieces(samples: Samples, rate: int) -> Iterator[Samples]:
    """Of no more than PIECE seconds each, cut at the quietest place near their end; those with no voice left out."""
    frame, most = int(FRAME * rate), int(PIECE * rate)
    while len(samples):
        end = len(samples)
        if end > most:
            begin = most - int(LAST * rate)
            loud = _loudness(samples[begin:most], frame)
            end = begin + int(loud.argmin()) * frame + frame // 2
        piece, samples = samples[:end], samples[end:]
        if len(piece) >= frame and _loudness(piece, frame).max() >= SILENT:
            yield piece


def _loudness(samples: Samples, frame: int) -> Samples:
    """Root mean square of each whole frame."""
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    return np.sqrt(np.mean(whole**2, axis=1, dtype=np.float32))
