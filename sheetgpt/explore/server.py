"""The server of `sheetgpt explore`: the page, and a run's numbers as the page asks for them. Only on this machine.

Numbers go as little-endian doubles, all else as JSON; a run as lines of JSON while it is computed. Who may ask is in
`guard`, what a run is in `runs`.
"""

from __future__ import annotations

import secrets
import socket
import tempfile
import threading
import time
import traceback
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sheetgpt.errors import SheetGPTError, StageError
from sheetgpt.explore import built_page, facts, head_maps, lenses, origin, typed
from sheetgpt.explore.formulas import LiveWorkbook
from sheetgpt.explore.guard import Guard
from sheetgpt.explore.runs import Asked, Run, RunGoneError, Runs, Wait, messages
from sheetgpt.lens.addresses import Region
from sheetgpt.model import Model
from sheetgpt.run.edit import names_file
from sheetgpt.run.trace import Trace

LONGEST_REQUEST = 4_000_000  # bytes
MOST_DIGITS = 18  # of a number in an address
MOMENT = 0.03  # seconds between two pieces of a run
DOUBLES = np.dtype("<f8")
TYPES = {built_page.SCRIPT: "text/javascript", built_page.STYLE: "text/css"}
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class PortError(SheetGPTError):
    """Nobody can listen there."""


class Explorer:
    """What the page may ask of one model."""

    def __init__(self, model: Model, asked: Asked):
        self.model, self.asked, self.runs = model, asked, Runs(model)

    def routes(self) -> list[Route]:
        return [
            *page_routes(),
            Route("/facts", answered(self.facts)),
            Route("/vocabulary", answered(self.vocabulary)),
            Route("/weight/{name}", answered(self.weight)),
            Route("/run", self.run, methods=["POST"]),
            Route("/cells/{run}/{name}", self.cells),
            Route("/origin/{run}/{name}", answered(self.origin)),
            Route("/heads/{run}/{name}", self.heads),
            Route("/lens/{run}/{name}", answered(self.lens)),
            Route("/workbook/{run}", self.workbook),
        ]

    # -------------------------------------------------------------------------------------------- answers

    def facts(self, _request: Request) -> dict[str, Any]:
        asked = typed.by_cell_if_few(self.runs, self.asked).as_data()
        return facts.facts(self.model) | {"prompt": asked, "readOnly": None, "compare": None}

    def vocabulary(self, _request: Request) -> list[str]:
        return self.model.vocabulary()

    def weight(self, request: Request) -> dict[str, Any]:
        return facts.weight_info(self.model, request.path_params["name"])

    async def run(self, request: Request) -> Response:
        """A run in lines of JSON, each as soon as it is there; the last may be an error."""
        try:
            asked = asked_in(request.headers.get("content-type", ""), await request.body())
            self.require_own_files(asked)
        except SheetGPTError as error:
            return refusal(error)
        wait = Wait()
        return Lines(together(self.lines(asked, wait)), wait)

    def require_own_files(self, asked: Asked) -> None:
        """Raises StageError where a file is named that the command line didn't name: a page may not open any file."""
        for text in asked.sets:
            if names_file(text) and text not in self.asked.sets:
                raise StageError(f"{text}: the page opens no files", remedy=f'start explore with --set "{text}"')

    def lines(self, asked: Asked, wait: Wait) -> Iterator[bytes]:
        try:
            for message in messages(self.runs.start(asked, wait)):
                yield as_json(message) + b"\n"
        except SheetGPTError as error:
            yield as_json({"error": str(error)}) + b"\n"
        except Exception as error:  # noqa: BLE001 - the page waits for the last line
            traceback.print_exc()
            yield as_json({"error": f"the run failed, {type(error).__name__}: {error}"}) + b"\n"

    def cells(self, request: Request) -> Response:
        """A box of a stage or weight, row by row."""
        try:
            with self.found(request) as run:
                return box(request, run.matrix(request.path_params["name"]))
        except SheetGPTError as error:
            return refusal(error)

    def heads(self, request: Request) -> Response:
        """The heads of a stage side by side, pooled where there are many tokens."""
        try:
            name = request.path_params["name"]
            with self.found(request) as run:
                matrix = run.matrix(name)
            step = self.model.steps.by_name.get(name)
            if step is None or not step.by_head:
                raise StageError(f"{name} has no heads")
        except SheetGPTError as error:
            return refusal(error)
        return doubles(head_maps.pooled(matrix, step.op.groups))

    def lens(self, request: Request) -> list[dict[str, Any]]:
        """A lens on a run; of a second prompt, where there is one, with the weights that were set in the first."""
        options = dict(request.query_params)
        with self.found(request) as run:
            trace = run.whole()

        def second() -> Trace:
            sets = lenses.of_weights(run.asked.sets, trace)
            return self.runs.whole(replace(Asked.of(lenses.prompt_in(options)), sets=sets))

        return lenses.tables(trace, request.path_params["name"], options, second)

    def origin(self, request: Request) -> dict[str, Any]:
        trace, name = self.trace(request), request.path_params["name"]
        row, column = whole(request.query_params, "row"), whole(request.query_params, "column")
        region = Region(name, row, column)
        origin.require_cell(region, trace)
        formula = LiveWorkbook(trace).formula(name, row, column)
        return origin.origin(trace, region) | {"formula": formula}

    def workbook(self, request: Request) -> Response:
        """The run as a workbook: values with what was set marked, or live formulas."""
        live = request.query_params.get("live") == "1"
        try:
            trace = self.trace(request)
            with tempfile.TemporaryDirectory() as folder:
                content = trace.to_excel(Path(folder) / "run.xlsx", formulas=live).read_bytes()
        except SheetGPTError as error:
            return refusal(error)
        return Response(content, media_type=XLSX)

    @contextmanager
    def found(self, request: Request) -> Iterator[Run]:
        """The run that is asked about, waited for. Raises RunGoneError."""
        with Wait() as wait:
            yield self.runs.get(request.path_params["run"], wait)

    def trace(self, request: Request) -> Trace:
        """The same when all of it is there."""
        with self.found(request) as run:
            return run.whole()

    def close(self) -> None:
        self.runs.close()


# ------------------------------------------------------------------------------------------------ requests and answers


class Lines(StreamingResponse):
    """Lines of JSON, each sent when it is made. `wait` is over as soon as nobody reads them any more."""

    def __init__(self, lines: Iterator[bytes], wait: Wait):
        super().__init__(lines, media_type="application/x-ndjson")
        self.wait = wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.wait.end()

    async def listen_for_disconnect(self, receive: Receive) -> None:
        await super().listen_for_disconnect(receive)
        self.wait.end()  # at once: until the next line is made nothing else is called


def as_json(data: Any) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY, default=list)


def together(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Lines that come within a moment as one piece: each piece costs the server more than a line does."""
    waiting, sent = [], time.monotonic()
    for line in lines:
        waiting.append(line)
        if time.monotonic() - sent >= MOMENT:
            yield b"".join(waiting)
            waiting, sent = [], time.monotonic()
    yield b"".join(waiting)


def answered(answer: Callable[[Request], Any]) -> Callable[[Request], Response]:
    """A view that answers in JSON; in one sentence where it can't."""

    def view(request: Request) -> Response:
        try:
            return Response(as_json(answer(request)), media_type="application/json")
        except SheetGPTError as error:
            return refusal(error)

    return view


def refusal(error: Exception) -> Response:
    status = 410 if isinstance(error, RunGoneError) else 400
    return Response(as_json({"error": str(error)}), status, media_type="application/json")


def asked_in(content_type: str, body: bytes) -> Asked:
    """The run that is asked for. Raises StageError."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise StageError("a run is asked for in JSON")
    if len(body) > LONGEST_REQUEST:
        most = LONGEST_REQUEST // 1_000_000
        raise StageError(f"too many changes, a run is asked for by {most} MB at most", remedy="change fewer cells")
    try:
        data = orjson.loads(body)
    except ValueError as error:
        raise StageError(f"a run is asked for in JSON, and this is none: {error}") from None
    if not isinstance(data, dict):
        raise StageError("a run is asked for by an object in JSON")
    return Asked.of(data)


def whole(query: Mapping[str, str], name: str) -> int:
    """A number from 0 in the query. Raises StageError."""
    text = query.get(name, "")
    if not text.isdecimal() or len(text) > MOST_DIGITS:
        raise StageError(f"{name} is a whole number, not {text[:MOST_DIGITS]!r}")
    return int(text)


def doubles(matrix: np.ndarray) -> Response:
    """A matrix row by row, its shape in the headers."""
    shape = {"x-rows": str(matrix.shape[0]), "x-columns": str(matrix.shape[1])}
    return Response(np.ascontiguousarray(matrix, DOUBLES).tobytes(), headers=shape)


def span(request: Request, axis: str) -> slice:
    """The rows or columns that are asked for, as `row` and `rows`."""
    first = whole(request.query_params, axis)
    return slice(first, first + whole(request.query_params, f"{axis}s"))


def box(request: Request, matrix: np.ndarray) -> Response:
    """The cells of a matrix that are asked for, row by row. Raises StageError."""
    return doubles(np.atleast_2d(matrix)[span(request, "row"), span(request, "column")])


def page_routes() -> list[Route]:
    """The page itself."""
    page = Route("/", lambda _request: HTMLResponse(built_page.served()))
    return [page, *(Route(f"/{name}", built_file) for name in TYPES)]


def built_file(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return Response(built_page.text(name), media_type=TYPES[name])


# ------------------------------------------------------------------------------------------------ the server


class Answers(Protocol):
    """What answers the page: of one model, or of two sides."""

    def routes(self) -> list[Route]: ...

    def close(self) -> None:
        """Whoever waits need not wait any longer."""


class Server(uvicorn.Server):
    """A server that keeps nobody waiting when it ends."""

    def __init__(self, config: uvicorn.Config, answers: Answers):
        super().__init__(config)
        self.answers = answers

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.answers.close()
        await super().shutdown(sockets)


def app(answers: Answers, token: str) -> Guard:
    found = Starlette(routes=answers.routes())
    found.router.redirect_slashes = False  # it would lead to an address without the token
    return Guard(found, token)


def listen(port: int) -> socket.socket:
    """A socket on this machine alone. Raises PortError."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise PortError(f"port {port}: {error.strerror}", remedy="leave --port out, or give another") from None


def serve(answers: Answers, port: int, *, browser: bool, announce: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. Raises PageMissingError, PortError."""
    built_page.require_built()
    token = secrets.token_urlsafe(16)
    listening = listen(port)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/{token}/"
    config = uvicorn.Config(
        app(answers, token), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    announce(address)
    if browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    Server(config, answers).run(sockets=[listening])
