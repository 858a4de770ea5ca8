"""Listening without torch: limits, hostile recordings, and the call as the installed transformers takes it."""

import asyncio
import inspect
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nlu.sound import Unreadable, decode, pieces, resampled
from nlu.speech import QUEUE, Speech, load_pipeline, open_speech

RATE = 16_000
WORDS = "La licuadora llegó rota"


class Wave:
    """Stands for soundfile.SoundFile: what it gives of a WAV file."""

    def __init__(self, path: Path) -> None:
        self._file = wave.open(str(path))  # noqa: SIM115  it is a context manager itself
        self.samplerate, self.channels = self._file.getframerate(), self._file.getnchannels()
        self.read = 0

    def __enter__(self) -> "Wave":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self, blocksize: int, *, dtype: str, always_2d: bool) -> Iterator[NDArray[Any]]:
        assert dtype == "float32" and always_2d
        while data := self._file.readframes(blocksize):
            self.read += 1
            yield np.frombuffer(data, "<i2").reshape(-1, self.channels).astype(np.float32) / 32768


def recording(path: Path, samples: NDArray[Any], rate: int = RATE, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.repeat(samples, channels) * 32767).astype("<i2").tobytes())
    return path


def tone(seconds: float, rate: int = RATE, hertz: float = 440, loud: float = 0.3) -> NDArray[Any]:
    return loud * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


class Model:
    """Stands for the pipeline: it says what it was told, and keeps what it was asked."""

    feature_extractor = SimpleNamespace(sampling_rate=RATE)

    def __init__(self, says: str = WORDS, languages: tuple[str, ...] = ()) -> None:
        known = {f"<|{one}|>": 1 for one in languages}
        self.model = SimpleNamespace(
            generation_config=SimpleNamespace(is_multilingual=bool(languages), lang_to_id=known)
        )
        self.says = says
        self.asked: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.blocks: Callable[[], object] = lambda: None

    def __call__(self, inputs: dict[str, Any], **options: Any) -> dict[str, str]:
        self.asked.append((inputs, options))
        self.blocks()
        return {"text": f" {self.says}"}


def speech(tmp_path: Path, model: Model, *, limit: float = 60, longest: float = 300) -> Speech:
    return Speech(tmp_path, lambda _: model, Wave, limit=limit, longest=longest)


async def test_a_note_is_heard_in_mono_at_the_rate_of_the_model(tmp_path: Path) -> None:
    model = Model(languages=("es", "pt"))
    note = recording(tmp_path / "note", tone(2, 48_000), 48_000, channels=2)
    assert await speech(tmp_path, model).transcribe(note, "audio/ogg", "es") == WORDS
    [(given, options)] = model.asked
    assert given["sampling_rate"] == RATE and given["raw"].shape == (2 * RATE,) and given["raw"].dtype == np.float32
    assert np.argmax(np.abs(np.fft.rfft(given["raw"]))) / 2 == pytest.approx(440, abs=1)
    assert options == {"generate_kwargs": {"language": "es", "task": "transcribe"}}


@pytest.mark.parametrize(("languages", "spoken"), [((), "es"), (("es",), None), (("pt",), "es")])
async def test_a_model_that_cannot_be_told_the_language_is_not(
    tmp_path: Path, languages: tuple[str, ...], spoken: str | None
) -> None:
    model = Model(languages=languages)
    assert await speech(tmp_path, model).transcribe(recording(tmp_path / "n", tone(1)), None, spoken) == WORDS
    assert model.asked[0][1] == {}


async def test_a_long_note_is_heard_in_pieces_cut_where_nobody_speaks(tmp_path: Path) -> None:
    samples = np.concatenate([tone(25), np.zeros(RATE), tone(25)])
    model = Model()
    said = await speech(tmp_path, model).transcribe(recording(tmp_path / "n", samples), "audio/wav", None)
    assert said == f"{WORDS} {WORDS}"
    assert [len(given["raw"]) / RATE for given, _ in model.asked] == pytest.approx([25.5, 25.5], abs=0.6)


def test_no_piece_is_longer_than_the_model_was_taught_and_none_is_lost() -> None:
    whole = tone(100).astype(np.float32)
    cut = list(pieces(whole, RATE))
    assert max(map(len, cut)) <= 28 * RATE and np.array_equal(np.concatenate(cut), whole)


@pytest.mark.parametrize("says", ["", " . ", "sí " * 100, "a" * 200, "Subtítulos por la comunidad de Amara.org",
                                  "¡Gracias por ver el video!"])  # fmt: skip
async def test_what_nobody_said_is_no_transcript(tmp_path: Path, says: str) -> None:
    note = recording(tmp_path / "n", tone(3))
    assert await speech(tmp_path, Model(says)).transcribe(note, "audio/ogg", None) is None


async def test_silence_is_not_given_to_the_model(tmp_path: Path) -> None:
    model = Model()
    note = recording(tmp_path / "n", tone(40, loud=0.0005))
    assert await speech(tmp_path, model).transcribe(note, "audio/ogg", None) is None and model.asked == []


async def test_too_long_a_note_is_not_heard_and_left_as_soon_as_that_is_known(tmp_path: Path) -> None:
    model, note = Model(), recording(tmp_path / "n", tone(60))
    assert await speech(tmp_path, model, longest=10).transcribe(note, "audio/ogg", None) is None and model.asked == []
    files: list[Wave] = []

    def opened(path: Path) -> Wave:
        files.append(Wave(path))
        return files[-1]

    with pytest.raises(Unreadable, match="longer than 10 s"):
        decode(note, RATE, 10, opened)
    assert files[0].read == 11


class Hostile(Wave):
    """A header that promises what no sound is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if path.name == "rate":
            self.samplerate = 2**31
        if path.name == "channels":
            self.channels = 1024

    def blocks(self, blocksize: int, *, dtype: str, always_2d: bool) -> Iterator[NDArray[Any]]:
        yield np.array([[np.nan], [np.inf], [-np.inf], [1e30]], np.float32)
        if self._file.getnframes() == 1:
            raise MemoryError


@pytest.mark.parametrize("how", ["rate", "channels", "junk", "empty", "missing", "breaks"])
async def test_a_hostile_recording_fails_cleanly_and_the_next_one_is_heard(tmp_path: Path, how: str) -> None:
    path = tmp_path / how
    if how in ("junk", "empty"):
        path.write_bytes(b"OggS" + bytes(300) if how == "junk" else b"")
    elif how != "missing":
        recording(path, tone(1)[: 1 if how == "breaks" else None])
    model = Model()
    opener = Speech(tmp_path, lambda _: model, lambda one: Wave(one) if one.name == "good" else Hostile(one))
    assert await opener.transcribe(path, "audio/ogg", None) is None and model.asked == []
    assert await opener.transcribe(recording(tmp_path / "good", tone(1)), "audio/ogg", None) == WORDS
    assert opener.ready and opener.problem is None
    with pytest.raises(Unreadable):
        decode(path, RATE, 10, Hostile)


def test_numbers_that_are_none_become_silence(tmp_path: Path) -> None:
    samples = decode(recording(tmp_path / "n", tone(1)), RATE, 10, Hostile)
    assert samples.tolist() == [0, 0, 0, 1]


def test_another_rate_keeps_the_tone_and_drops_what_does_not_fit() -> None:
    high = resampled(tone(1.5, 44_100, 12_000).astype(np.float32), 44_100, RATE)
    assert np.abs(high[100:-100]).max() < 0.01  # at its ends it begins and breaks off
    assert len(resampled(np.zeros(44_100 * 3 // 2, np.float32), 44_100, RATE)) == 24_000


async def test_whoever_takes_too_long_is_not_waited_for(tmp_path: Path) -> None:
    model, go_on = Model(), threading.Event()
    model.blocks = lambda: go_on.wait(30)
    ears = speech(tmp_path, model, limit=0.2)
    note = recording(tmp_path / "n", tone(60))
    assert await ears.transcribe(note, "audio/ogg", None) is None
    go_on.set()
    model.blocks = lambda: None
    short = recording(tmp_path / "s", tone(1))
    ears = speech(tmp_path, model)
    assert await ears.transcribe(short, "audio/ogg", None) == WORDS


async def test_no_more_wait_than_the_queue_holds(tmp_path: Path) -> None:
    model, go_on = Model(), threading.Event()
    model.blocks = lambda: go_on.wait(30)
    ears, note = speech(tmp_path, model), recording(tmp_path / "n", tone(1))
    first = asyncio.create_task(ears.transcribe(note, None, None))
    while not model.asked:
        await asyncio.sleep(0.01)
    rest = [asyncio.create_task(ears.transcribe(note, None, None)) for _ in range(QUEUE)]
    await asyncio.sleep(0)
    assert await ears.transcribe(note, None, None) is None
    go_on.set()
    assert await asyncio.gather(first, *rest) == [WORDS] * (QUEUE + 1)


async def test_a_model_that_fails_at_a_note_says_so_until_it_hears_one(tmp_path: Path) -> None:
    model, note = Model(), recording(tmp_path / "n", tone(1))

    def fails() -> None:
        raise ValueError("private words")

    model.blocks = fails
    ears = speech(tmp_path, model)
    assert await ears.transcribe(note, "audio/ogg", None) is None
    assert ears.problem and "ValueError" in ears.problem and "private" not in ears.problem and ears.ready
    model.blocks = lambda: None
    assert await ears.transcribe(note, "audio/ogg", None) == WORDS and ears.problem is None


async def test_what_cannot_be_loaded_is_one_sentence_and_nobody_waits(tmp_path: Path) -> None:
    def load(_: Path) -> Any:
        raise OSError("no such tensor")

    ears = Speech(tmp_path, load, Wave)
    await ears.warm()
    assert ears.problem and ears.problem.startswith("nlu.speech:") and "null" in ears.problem and not ears.ready
    assert await ears.transcribe(recording(tmp_path / "n", tone(1)), "audio/ogg", None) is None


async def test_a_picture_is_not_opened(tmp_path: Path) -> None:
    assert await speech(tmp_path, Model()).transcribe(recording(tmp_path / "n", tone(1)), "image/png", None) is None


def test_what_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    assert open_speech(None) is None
    nowhere = open_speech(str(tmp_path / "nowhere"))
    assert nowhere is not None and not nowhere.ready and "no config.json" in str(nowhere.problem)
    (tmp_path / "config.json").write_text("{}")
    half = open_speech(str(tmp_path))
    assert half is not None and "preprocessor_config.json, tokenizer_config.json, model.safetensors" in str(
        half.problem
    )
    assert not half.ready


def test_without_the_libraries_the_remedy_is_their_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = open_speech(str(tmp_path))
    assert found is not None and "torch and soundfile: run .venv/bin/python -m pip install -e '.[voice]'" in str(
        found.problem
    )


def test_the_pipeline_is_called_as_the_installed_transformers_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch is not installed for the tests: what is judged is the call."""
    from transformers.pipelines import pipeline

    named = {one for one, of in inspect.signature(pipeline).parameters.items() if of.kind is not of.VAR_KEYWORD}
    called: dict[str, Any] = {}
    import transformers

    monkeypatch.setattr(transformers, "pipeline", lambda *a, **k: called.update(k, task=a[0]) or "made", raising=False)
    monkeypatch.setattr("nlu.speech.importlib.import_module", lambda name: {
        "transformers": transformers, "torch": SimpleNamespace(set_num_threads=lambda n: None)}[name])  # fmt: skip
    load_pipeline(tmp_path)
    # what it does not name goes on to generating, which refuses it there
    assert set(called) <= named and called["task"] == "automatic-speech-recognition"
    assert Path(called["model"]).is_absolute() and called["trust_remote_code"] is False
