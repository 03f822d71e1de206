"""What the page may ask where two sides are compared: what is found, and the cells of both."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sheetgpt.errors import SheetGPTError, StageError, UnknownStageError
from sheetgpt.explore.comparison import Compared
from sheetgpt.explore.server import answered, box, page_routes, refusal

SIDES = ("left", "right")


class Sides:
    """What the page may ask of a comparison."""

    def __init__(self, compared: Compared):
        self.compared = compared

    def routes(self) -> list[Route]:
        return [
            *page_routes(),
            Route("/facts", answered(lambda _request: self.compared.facts)),
            Route("/vocabulary", answered(lambda _request: [])),
            Route("/differences/{name}", answered(self.differences)),
            Route("/cells/{side:str}/{name}", self.cells),
        ]

    def close(self) -> None:
        """Nobody waits: what is compared is there."""

    def differences(self, request: Request) -> dict[str, Any]:
        return self.compared.stage(self.known(request))

    def cells(self, request: Request) -> Response:
        """A box of a stage or weight of a side, row by row."""
        try:
            return box(request, self.compared.matrix(self.side(request), self.known(request)))
        except SheetGPTError as error:
            return refusal(error)

    @staticmethod
    def side(request: Request) -> str:
        """Raises StageError."""
        side = str(request.path_params["side"])
        if side not in SIDES:
            raise StageError(f"there is no side {side!r}", remedy=f"ask for {' or '.join(SIDES)}")
        return side

    def known(self, request: Request) -> str:
        """The stage that is asked about. Raises StageError."""
        name = str(request.path_params["name"])
        names = self.compared.comparison.names()
        if name not in names:
            raise UnknownStageError(name, names)
        return name
