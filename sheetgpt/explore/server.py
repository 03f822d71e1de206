"""The server of `sheetgpt explore`: the page, and a run's numbers as the page asks for them. Only on this machine.

Numbers go as little-endian doubles, all else as JSON; a run as lines of JSON while it is computed. Who may ask is in
`guard`, what a run is in `runs`.
"""

from __future__ import annotations

import secrets
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
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

from sheetgpt.errors import SheetGPTError, StageError
from sheetgpt.explore import built_page, facts, head_maps, lenses, origin, typed
from sheetgpt.explore.formulas import LiveWorkbook
from sheetgpt.explore.guard import SAFETY, Guard
from sheetgpt.explore.runs import Asked, Run, Runs, messages
from sheetgpt.lens.addresses import Region
from sheetgpt.model import Model
from sheetgpt.run.trace import Trace

LONGEST_REQUEST = 1_000_000  # bytes
DOUBLES = np.dtype("<f8")
TYPES = {built_page.SCRIPT: "text/javascript", built_page.STYLE: "text/css"}
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class RunGoneError(SheetGPTError):
    """The run is no longer kept: the page asks for it again."""


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
        sets = typed.by_cell_if_few(self.runs, self.asked).sets
        asked = {"prompt": self.asked.prompt, "ids": self.asked.ids, "sets": sets}
        return facts.facts(self.model) | {"prompt": asked, "readOnly": None, "compare": None}

    def vocabulary(self, _request: Request) -> list[str]:
        return self.model.vocabulary()

    def weight(self, request: Request) -> dict[str, Any]:
        return facts.weight_info(self.model, request.path_params["name"])

    async def run(self, request: Request) -> Response:
        """A run in lines of JSON, each as soon as it is there; the last may be an error."""
        body = await request.body()
        if request.headers.get("content-type") != "application/json" or len(body) > LONGEST_REQUEST:
            return refusal(StageError("a run is asked for in JSON"))
        try:
            asked = Asked.of(orjson.loads(body))
        except (SheetGPTError, ValueError, AttributeError) as error:
            return refusal(error)
        return StreamingResponse(self.lines(asked), media_type="application/x-ndjson", headers=SAFETY)

    def lines(self, asked: Asked) -> Iterator[bytes]:
        try:
            for message in messages(self.runs.start(asked)):
                yield as_json(message) + b"\n"
        except SheetGPTError as error:
            yield as_json({"error": str(error)}) + b"\n"

    def cells(self, request: Request) -> Response:
        """A box of a stage or weight, row by row."""
        try:
            return box(request, self.found(request).matrix(request.path_params["name"]))
        except SheetGPTError as error:
            return refusal(error)

    def heads(self, request: Request) -> Response:
        """The heads of a stage side by side, pooled where there are many tokens."""
        try:
            name = request.path_params["name"]
            matrix = self.found(request).matrix(name)
            step = self.model.steps.by_name.get(name)
            if step is None or not step.by_head:
                raise StageError(f"{name} has no heads")
        except SheetGPTError as error:
            return refusal(error)
        return doubles(head_maps.pooled(matrix, step.op.groups))

    def lens(self, request: Request) -> list[dict[str, Any]]:
        """A lens on a run; of a second prompt, where there is one, with the weights that were set in the first."""
        run, options = self.found(request), dict(request.query_params)

        def second() -> Trace:
            sets = lenses.of_weights(run.asked.sets, run.whole())
            return self.runs.start(replace(Asked.of(lenses.prompt_in(options)), sets=sets)).whole()

        return lenses.tables(run.whole(), request.path_params["name"], options, second)

    def origin(self, request: Request) -> dict[str, Any]:
        trace, name = self.found(request).whole(), request.path_params["name"]
        row, column = whole(request.query_params, "row"), whole(request.query_params, "column")
        formula = LiveWorkbook(trace).formula(name, row, column)
        return origin.origin(trace, Region(name, row, column)) | {"formula": formula}

    def workbook(self, request: Request) -> Response:
        """The run as a workbook: values with what was set marked, or live formulas."""
        live = request.query_params.get("live") == "1"
        try:
            trace = self.found(request).whole()
            with tempfile.TemporaryDirectory() as folder:
                content = trace.to_excel(Path(folder) / "run.xlsx", formulas=live).read_bytes()
        except SheetGPTError as error:
            return refusal(error)
        return Response(content, media_type=XLSX, headers=SAFETY)

    def found(self, request: Request) -> Run:
        """The run that is asked about. Raises RunGoneError."""
        run = self.runs.get(request.path_params["run"])
        if run is None:
            raise RunGoneError("this run is no longer kept", remedy="ask for it again")
        return run


# ------------------------------------------------------------------------------------------------ requests and answers


def as_json(data: Any) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY, default=list)


def answered(answer: Callable[[Request], Any]) -> Callable[[Request], Response]:
    """A view that answers in JSON; in one sentence where it can't."""

    def view(request: Request) -> Response:
        try:
            return Response(as_json(answer(request)), media_type="application/json", headers=SAFETY)
        except SheetGPTError as error:
            return refusal(error)

    return view


def refusal(error: Exception) -> Response:
    status = 410 if isinstance(error, RunGoneError) else 400
    return Response(as_json({"error": str(error)}), status, media_type="application/json", headers=SAFETY)


def whole(query: Mapping[str, str], name: str) -> int:
    """A number from 0 in the query. Raises StageError."""
    text = query.get(name, "")
    if not text.isdecimal():
        raise StageError(f"{name} is a whole number, not {text!r}")
    return int(text)


def doubles(matrix: np.ndarray) -> Response:
    """A matrix row by row, its shape in the headers."""
    shape = {"x-rows": str(matrix.shape[0]), "x-columns": str(matrix.shape[1])}
    return Response(np.ascontiguousarray(matrix, DOUBLES).tobytes(), headers=SAFETY | shape)


def span(request: Request, axis: str) -> slice:
    """The rows or columns that are asked for, as `row` and `rows`."""
    first = whole(request.query_params, axis)
    return slice(first, first + whole(request.query_params, f"{axis}s"))


def box(request: Request, matrix: np.ndarray) -> Response:
    """The cells of a matrix that are asked for, row by row. Raises StageError."""
    return doubles(np.atleast_2d(matrix)[span(request, "row"), span(request, "column")])


def page_routes() -> list[Route]:
    """The page itself."""
    page = Route("/", lambda _request: HTMLResponse(built_page.served(), headers=SAFETY))
    return [page, *(Route(f"/{name}", built_file) for name in TYPES)]


def built_file(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return Response(built_page.text(name), media_type=TYPES[name], headers=SAFETY)


# ------------------------------------------------------------------------------------------------ the server


class Answers(Protocol):
    """What answers the page: of one model, or of two sides."""

    def routes(self) -> list[Route]: ...


def app(answers: Answers, token: str) -> Guard:
    return Guard(Starlette(routes=answers.routes()), token)


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
    uvicorn.Server(config).run(sockets=[listening])
