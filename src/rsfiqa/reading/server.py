"""The server reader: regions read by a vision-language model behind an OpenAI-compatible server.

Any server that speaks the chat API will do: vLLM, Ollama, llama.cpp, LM Studio, `transformers
serve`, OpenAI. One request a region: its view as a PNG (JPEG would add artifacts of its own), the
question in words, and a JSON schema for the answer, at temperature 0. Where the server gives token
probabilities, each rating is the distribution at its level word; otherwise the word that was said.

A server fails in many ways, and none of them stops an assessment or becomes a number: failures that
may pass (too many requests, errors of the server, cut or slow connections) are tried again a
bounded number of times, an answer that is not the JSON asked for is asked for once more, and then
the region's reading has `failed` with its reason.
"""

from __future__ import annotations

import base64
import io
import math
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.errors import ConfigError
from rsfiqa.partition import Partition
from rsfiqa.reading import answers, views, wording
from rsfiqa.reading.answers import AnswerError, parse_answer, reading_of
from rsfiqa.reading.server_address import ServerAddress, key_for
from rsfiqa.reading.server_breaker import Breaker
from rsfiqa.reading.server_completion import completion_in
from rsfiqa.reading.server_connection import Connection, Patience, ServerError
from rsfiqa.reading.server_logprobs import ratings_from_tokens
from rsfiqa.reading.server_parameters import Parameters
from rsfiqa.reading.views import View, region_view, view_instruction
from rsfiqa.types import Reading

if TYPE_CHECKING:
    from rsfiqa.encoders.grid import GridFeatures

LONGEST_ANSWER = 512
"""In tokens. The JSON has about 60; the rest is room for servers that count thoughts too."""


class ServerReader:
    """Reads regions with the model behind a server.

    It may be called from several threads; all pictures share one limit on requests. The key comes
    from the environment: `RSFIQA_SERVER_KEY` for any server, else `OPENAI_API_KEY` for OpenAI and
    for the server that `OPENAI_BASE_URL` names. It is sent to the server and shown to nobody else.

    A region takes at most `2 * (retries + 1)` times the timeout and the pauses between, each at
    most a minute. After three regions in a row without any answer from the server, the next ones
    fail at once, but for one attempt every ten seconds (see `rsfiqa.reading.server_breaker`).

    Args:
        connection: to the server.
        view: what the model sees of a region.
        concurrency: requests at a time.
        longest_answer: tokens after which an answer is cut off.
        breaker: when to stop knocking.
    """

    encoder_name: str | None = None

    def __init__(
        self,
        connection: Connection,
        *,
        view: View = "crop",
        concurrency: int = 4,
        longest_answer: int = LONGEST_ANSWER,
        breaker: Breaker | None = None,
    ) -> None:
        self.connection = connection
        self.view = view
        self.longest_answer = longest_answer
        self._breaker = breaker or Breaker()
        self._model = connection.address.model
        self._finding = threading.Lock()
        self._unfound = f"unknown-model-{uuid.uuid4().hex[:8]}"
        self._parameters = Parameters()
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="server-reader")

    @classmethod
    def from_spec(
        cls,
        spec: str,
        *,
        concurrency: int = 4,
        timeout: float = 60.0,
        retries: int = 3,
        view: View = "crop",
        backoff: float = 0.5,
        longest_answer: int = LONGEST_ANSWER,
    ) -> ServerReader:
        """Make a reader; the server is not asked for anything yet and need not be up.

        Args:
            spec: `http://HOST:PORT`, with or without `/v1`, with `#MODEL` for another model than
                the first that the server lists.
            concurrency: requests at a time.
            timeout: seconds for one attempt.
            retries: further attempts after failures that may pass.
            view: `crop` shows each region cut out, `picture` the whole picture with a box.
            backoff: seconds before the first retry; twice as long before each next one. A server's
                `Retry-After` goes before.
            longest_answer: tokens after which an answer is cut off.

        Raises:
            ConfigError: an argument is not among those accepted, or the key cannot be sent.
            MissingExtraError: openai (the extra `server`) is not installed.
        """
        _require(concurrency, timeout, retries, view, backoff, longest_answer)
        address = ServerAddress.parse(spec)
        patience = Patience(timeout=timeout, retries=retries, backoff=backoff)
        return cls(
            Connection(address, key_for(address), patience),
            view=view,
            concurrency=concurrency,
            longest_answer=longest_answer,
        )

    @property
    def name(self) -> str:
        """Model, server and the versions of what it is shown and asked.

        Asks the server which model it has, where that is not known yet. When it cannot say, the
        name is one that no other reader has, so that no reading is ever filed under a model that
        did not give it.
        """
        try:
            model = self._find_model(attempts=1, regions=0)
        except ServerError:
            model = self._unfound
        label = self.connection.address.label
        versions = f"{wording.VERSION}.{answers.VERSION}.{views.VERSION}"
        return f"server:{model}@{label}/{self.view}/{versions}"

    def __repr__(self) -> str:
        model = self._model or "?"
        return f"ServerReader({model!r} at {self.connection.address.label!r}, view={self.view!r})"

    def read(
        self,
        pixels: npt.NDArray[np.uint8],
        partition: Partition,
        grid: GridFeatures | None = None,
    ) -> Sequence[Reading]:
        """One reading a region of the RGB picture `[H, W, 3]`, in order of region ids.

        Never raises for a picture or a server: what goes wrong with a region is its reading's
        reason. `grid` is not used.
        """
        try:
            model = self._find_model(attempts=self._usual_attempts, regions=len(partition))
        except ServerError as failure:
            return [self._failed(str(failure))] * len(partition)
        pending = [
            self._pool.submit(self._read_region, pixels, partition, region, model)
            for region in range(len(partition))
        ]
        try:
            return [reading.result() for reading in pending]
        finally:
            for reading in pending:
                reading.cancel()

    def _read_region(
        self, pixels: npt.NDArray[np.uint8], partition: Partition, region: int, model: str
    ) -> Reading:
        try:
            picture = region_view(pixels, partition, region, view=self.view)
            question = answers.instruction(view_instruction(partition, region, view=self.view))
            return self._ask_twice(model, _data_url(picture), question)
        except ServerError as failure:
            return self._failed(str(failure))
        # A server's answer is foreign data: whatever it may upset here is this region's alone.
        except Exception as error:
            return self._failed(f"the region could not be read ({type(error).__name__}: {error})")

    def _ask_twice(self, model: str, picture: str, question: str) -> Reading:
        try:
            return self._ask(model, picture, question)
        except AnswerError as error:
            again = f"{question}\n{answers.correction(str(error))}"
        try:
            return self._ask(model, picture, again)
        except AnswerError as error:
            return self._failed(f"the model's answer was not usable, twice: {error}")

    def _ask(self, model: str, picture: str, question: str) -> Reading:
        completion = completion_in(self._chat(model, _messages(picture, question)))
        try:
            answer = parse_answer(completion.text)
        except AnswerError:
            if completion.cut:
                raise AnswerError(f"it was cut off after {self.longest_answer} tokens") from None
            raise
        return reading_of(answer, ratings_from_tokens(completion.text, completion.tokens, answer))

    def _chat(self, model: str, messages: list[dict[str, Any]]) -> Any:
        """The server's answer, to a request with as many of our parameters as it accepts."""
        parameters = self._parameters
        first_refusal: ServerError | None = None
        while True:
            try:
                data = self._answer(model, messages, parameters)
            except ServerError as failure:  # noqa: PERF203
                if not failure.refused:
                    raise
                first_refusal = first_refusal or failure
                humbler = parameters.humbler(str(failure))
                if humbler is None:
                    # The parameters were not the matter: what was said at first says what is.
                    raise first_refusal from None
                parameters = humbler
            else:
                if first_refusal is not None:
                    self._parameters = parameters
                return data

    def _answer(self, model: str, messages: list[dict[str, Any]], parameters: Parameters) -> Any:
        attempts = self._allowed(self._usual_attempts)
        body = parameters.body(self.longest_answer)
        try:
            data = self.connection.chat(model, messages, body, attempts=attempts)
        except ServerError as failure:
            self._count(failure, regions=1)
            raise
        self._breaker.answered()
        return data

    def _find_model(self, *, attempts: int, regions: int) -> str:
        """The model's name, which the server is asked for until it has said it once.

        Args:
            attempts: how many, where the breaker allows them.
            regions: how many regions are without an answer if there is none.

        Raises:
            ServerError: it lists none, or cannot be asked.
        """
        if self._model:
            return self._model
        with self._finding:
            # Another thread may have found it while this one waited for its turn.
            self._model = self._model or self._first_listed(attempts, regions)
            return self._model

    def _first_listed(self, attempts: int, regions: int) -> str:
        allowed = self._allowed(attempts)
        try:
            models = self.connection.models(attempts=allowed)
        except ServerError as failure:
            self._count(failure, regions=regions)
            if not failure.answered:
                raise
            raise ServerError(
                f"{failure} (asked for its list of models; URL#MODEL spares this question)"
            ) from None
        self._breaker.answered()
        if not models:
            raise ServerError("the server lists no model; name one as URL#MODEL")
        return models[0]

    @property
    def _usual_attempts(self) -> int:
        return self.connection.patience.retries + 1

    def _allowed(self, attempts: int) -> int:
        """As many of the attempts as the breaker allows, at least one.

        Raises:
            ServerError: it allows none.
        """
        allowed = min(attempts, self._breaker.attempts(attempts))
        if allowed < 1:
            raise ServerError(f"{self._breaker.why}; it is asked again only now and then")
        return allowed

    def _count(self, failure: ServerError, *, regions: int) -> None:
        if failure.answered:
            self._breaker.answered()
            return
        for _ in range(regions):
            self._breaker.unanswered(str(failure))

    def _failed(self, reason: str) -> Reading:
        return Reading(status="failed", reason=self.connection.without_key(reason))


def _messages(picture: str, question: str) -> list[dict[str, Any]]:
    # One turn and no system message: there are chat templates that allow neither more.
    content = [
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "text", "text": question},
    ]
    return [{"role": "user", "content": content}]


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _require(
    concurrency: int, timeout: float, retries: int, view: str, backoff: float, longest_answer: int
) -> None:
    if concurrency < 1:
        raise ConfigError(f"a server needs at least 1 request at a time; got {concurrency}.")
    if not (timeout > 0 and math.isfinite(timeout)):
        raise ConfigError(f"a server's timeout is a positive number of seconds; got {timeout}.")
    if retries < 0:
        raise ConfigError(f"retries are 0 or more; got {retries}.")
    if not (backoff >= 0 and math.isfinite(backoff)):
        raise ConfigError(f"a backoff is 0 or more seconds; got {backoff}.")
    if longest_answer < 1:
        raise ConfigError(f"an answer has at least 1 token; got {longest_answer}.")
    if view not in get_args(View):
        raise ConfigError(f"a view is {' or '.join(get_args(View))}; got {view!r}.")
