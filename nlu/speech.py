"""Words of a voice note, by a speech model in a directory of this machine. Off unless `nlu.speech` names one.

What cannot be understood well is not understood at all: whoever asks gets None, and asks the customer to write.
"""

import asyncio
import contextlib
import importlib
import importlib.util
import logging
import os
import queue
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nlu.fold import plain
from nlu.sound import Open, Samples, Unreadable, decode, pieces

log = logging.getLogger(__name__)
LONGEST = 300.0  # seconds of a note that is listened to
LIMIT = 60.0  # seconds that listening may take
LOADING = 180.0  # and loading the model
QUEUE = 4  # notes that wait for the thread; one more is not listened to
_NEEDED = ("config.json", "preprocessor_config.json", "tokenizer_config.json")
_WEIGHTS = ("*.safetensors", "*.bin")
_REPEATED = 2.4  # times that a text gets shorter when packed: what Whisper itself takes for going round in circles
_FAST = 40  # letters a second that nobody speaks
_CREDITS = ("amara.org", "amara org")  # subtitles that it was taught on, and says over noise
_FAREWELLS = frozenset({
    "gracias por ver el video", "gracias por ver", "thanks for watching", "thank you for watching",
    "obrigado por assistir", "suscribete al canal", "subtitulos",
})  # fmt: skip


class Transcriber(Protocol):
    """What listens to voice notes."""

    @property
    def problem(self) -> str | None:
        """What is wrong, in one sentence with the remedy; None: nothing."""

    @property
    def ready(self) -> bool:
        """Whether it is worth while to wait for it: False when it will listen to nothing until it is mended."""

    async def warm(self) -> None:
        """Get ready, so that the first note does not wait for it. Never raises."""

    async def transcribe(self, path: Path, mime: str | None, language: str | None) -> str | None:
        """What is said in a recording. None: nothing that can be relied on, or it took too long. Never raises.

        `language` is what the person speaks otherwise (es, en, pt), if that is known.
        """


class SpeechUnusable(Exception):
    """The model cannot listen; the sentence says what is missing and what to do."""


Pipeline = Callable[..., Any]
"""transformers' AutomaticSpeechRecognitionPipeline, or what stands for it."""


@dataclass(frozen=True, eq=False)
class _Job:
    """Something for the thread; `given_up` is set when nobody waits for it any more."""

    work: Callable[[threading.Event], Any]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    given_up: threading.Event = field(default_factory=threading.Event)


class Speech:
    """The `Transcriber` that runs a Hugging Face model. `load` and `opened` are the two libraries' doors."""

    def __init__(
        self,
        directory: Path,
        load: Callable[[Path], Pipeline] | None = None,
        opened: Open | None = None,
        *,
        problem: str | None = None,
        limit: float = LIMIT,
        longest: float = LONGEST,
    ) -> None:
        self._directory, self._limit, self._longest = directory, limit, longest
        self._load, self._opened = load or load_pipeline, opened or _soundfile
        self._pipeline: Pipeline | None = None
        self._problem = problem
        self._lame = problem is not None
        self._jobs: queue.Queue[_Job] = queue.Queue(QUEUE)
        self._thread: threading.Thread | None = None

    @property
    def problem(self) -> str | None:
        """See Transcriber."""
        return self._problem

    @property
    def ready(self) -> bool:
        """See Transcriber."""
        return not self._lame

    async def warm(self) -> None:
        """See Transcriber."""
        if not self._lame:
            await self._run(lambda _: self._ready(), LOADING)

    async def transcribe(self, path: Path, mime: str | None, language: str | None) -> str | None:
        """See Transcriber. `mime` is what the bytes look like: what is no sound at all is not opened."""
        if self._lame or (mime is not None and not mime.startswith(("audio/", "video/", "application/ogg"))):
            return None
        said = await self._run(lambda given_up: self._hear(path, language, given_up), self._limit)
        return said if isinstance(said, str) else None

    async def _run(self, work: Callable[[threading.Event], Any], limit: float) -> Any:
        """What the thread makes of it; None when it has too much to do already, fails or takes too long."""
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            log.warning("speech: too many voice notes wait already, one is not listened to")
            return None
        if self._thread is None:  # nobody waits for it at the end of the program
            self._thread = threading.Thread(target=self._work, name="speech", daemon=True)
            self._thread.start()
        try:
            async with asyncio.timeout(limit):
                return await job.future
        except TimeoutError:
            log.warning("speech: given up after %g s", limit)
            return None
        finally:
            job.given_up.set()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job.given_up.is_set():
                continue
            try:
                found = job.work(job.given_up)
            except Exception as why:  # whatever a model does, there is somebody to be answered
                log.warning("speech: failed: %s", type(why).__name__)
                found = None
            with contextlib.suppress(RuntimeError):  # the program has ended in between
                job.loop.call_soon_threadsafe(_settle, job.future, found)

    def _ready(self) -> Pipeline | None:
        if self._pipeline is None and not self._lame:
            try:
                self._pipeline = self._load(self._directory)
            except SpeechUnusable as why:
                self._cannot(str(why))
            except Exception as why:  # a broken file must not keep the bot from answering
                self._cannot(
                    f"nlu.speech: {self._directory} cannot be loaded ({type(why).__name__}):"
                    " put a whole speech recognition model there, or set nlu.speech: null"
                )
        return self._pipeline

    def _cannot(self, why: str) -> None:
        self._problem, self._lame = why, True
        log.warning("%s; voice notes are asked for in writing", why)

    def _hear(self, path: Path, language: str | None, given_up: threading.Event) -> str | None:
        pipeline = self._ready()
        if pipeline is None:
            return None
        rate = int(pipeline.feature_extractor.sampling_rate)  # type: ignore[attr-defined]  # of transformers' own
        try:
            samples = decode(path, rate, self._longest, self._opened)
        except Unreadable as why:
            log.info("speech: a voice note is not listened to: %s", why)
            return None
        said = []
        for piece in pieces(samples, rate):
            if given_up.is_set():
                return None
            try:
                words = _words(pipeline, piece, rate, language)
            except Exception as why:
                self._problem = f"nlu.speech: the model failed at a voice note ({type(why).__name__}): try another one"
                raise
            self._problem = None
            if not _credible(words, len(piece) / rate):
                return None  # half of what somebody said may be the opposite of it
            said.append(words)
        return " ".join(said) or None


def _settle(future: "asyncio.Future[Any]", found: Any) -> None:
    if not future.done():
        future.set_result(found)


def _words(pipeline: Pipeline, piece: Samples, rate: int, language: str | None) -> str:
    """One piece, in the language that the person speaks where the model can be told that."""
    config = getattr(getattr(pipeline, "model", None), "generation_config", None)
    known = getattr(config, "lang_to_id", None) or {}
    told = language is not None and getattr(config, "is_multilingual", False) and f"<|{language}|>" in known
    hint = {"generate_kwargs": {"language": language, "task": "transcribe"}} if told else {}
    return str(pipeline({"raw": piece, "sampling_rate": rate}, **hint)["text"]).strip()


def _credible(words: str, seconds: float) -> bool:
    """Whether somebody said that, as far as can be told without hearing it."""
    folded = plain(words)
    packed = words.encode("utf-8", "replace")
    if sum(map(str.isalnum, folded)) < 2 or len(words) > _FAST * max(seconds, 1.0):
        return False
    if len(packed) / len(zlib.compress(packed)) > _REPEATED:
        return False
    bare = "".join(one if one.isalnum() or one.isspace() else " " for one in folded)
    return " ".join(bare.split()) not in _FAREWELLS and not any(one in folded for one in _CREDITS)


def load_pipeline(directory: Path) -> Pipeline:
    """The model in a directory, from its own files and nothing that they want to run. Blocking."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))  # one is left to those who answer meanwhile
    made: Pipeline = transformers.pipeline(
        "automatic-speech-recognition",
        model=str(directory.resolve()),  # never a name that the hub could know; `local_files_only` breaks generating
        device="cpu",
        trust_remote_code=False,
    )
    return made


def _soundfile(path: Path) -> Any:
    return importlib.import_module("soundfile").SoundFile(str(path))


def open_speech(directory: str | None) -> Speech | None:
    """What `nlu.speech` names; None: nobody listens. What is missing is no failure: `problem` says it."""
    if directory is None:
        return None
    place = Path(directory).expanduser()
    problem = _missing(place)
    if problem:
        log.warning("%s; voice notes are asked for in writing", problem)
    return Speech(place, problem=problem)


def _missing(place: Path) -> str | None:
    lacking = [name for name in _NEEDED if not (place / name).is_file()]
    if "config.json" in lacking:
        return f"nlu.speech: {place} is no model directory (no config.json): give that of a speech recognition model"
    if not any(found for pattern in _WEIGHTS for found in place.glob(pattern)):
        lacking.append("model.safetensors")
    if lacking:
        return f"nlu.speech: {place} lacks {', '.join(lacking)}: download the whole model anew"
    needed = [name for name in ("torch", "soundfile") if importlib.util.find_spec(name) is None]
    if needed:
        return f"nlu.speech needs {' and '.join(needed)}: run .venv/bin/python -m pip install -e '.[voice]'"
    return None
