"""Every error as OpenAI's clients read it: `{"error": {"message", "type", "param", "code"}}`; never a traceback.

`Fault` is an answer that a route gives on purpose; errors of the house and of FastAPI are translated here.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from tunewise.errors import DiskFull, Failed, MissingExtra, TunewiseError, UserMistake
from tunewise.server import desk, intake

_LOG = logging.getLogger("tunewise.server")
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
          413: "invalid_request_error", 429: "rate_limit_error"}


class Fault(Exception):
    """An error answer: HTTP status, what went wrong, a code for programs, what to do, seconds to wait."""

    def __init__(
        self, status: int, message: str, *, code: str, param: str | None = None, tip: str = "", retry: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.param, self.tip, self.retry = param, tip, retry

    def body(self) -> dict[str, Any]:
        """The JSON value of the answer."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        message = f"{self.message} ({self.tip})" if self.tip else self.message
        return {"error": {"message": message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The answer itself."""
        headers = {"Retry-After": str(self.retry)} if self.retry is not None else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, headers)


def fault_of(error: BaseException) -> Fault:
    """Any error as a fault; what is not ours is logged, and told without its words."""
    match error:
        case Fault():
            return error
        case desk.Busy():
            return Fault(429, error.message, code="queue_full", tip=error.tip, retry=error.seconds)
        case desk.TooSlow():
            return Fault(504, error.message, code="timeout", tip=error.tip)
        case desk.Unknown():
            return Fault(404, error.message, code="model_not_found", param="model", tip="see /v1/models")
        case intake.NotAllowed():
            return Fault(403, error.message, code="forbidden", tip=error.tip)
        case intake.TooLarge():
            return Fault(413, error.message, code="too_large", tip=error.tip)
        case intake.WrongType():
            return Fault(415, error.message, code="unsupported_type", tip=error.tip)
        case DiskFull():
            return Fault(507, "no space is left on the server's disk", code="disk_full")
        case MissingExtra():
            return Fault(501, error.message, code="not_installed", tip=error.tip)
        case UserMistake():
            return Fault(400, error.message, code="invalid_request", tip=error.tip)
        case Failed() | TunewiseError():
            _LOG.error("%s", error.message, exc_info=error)
            return Fault(503, error.message, code="failed", tip=error.tip, retry=5)
        case RequestValidationError():
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
            return Fault(400, f"{where or 'the request'}: {first['msg']}", code="invalid_request", param=where or None)
        case HTTPException():
            codes = {404: "not_found", 405: "method_not_allowed", 401: "invalid_api_key", 413: "too_large"}
            return Fault(error.status_code, str(error.detail), code=codes.get(error.status_code, "invalid_request"))
    _LOG.error("an error of ours", exc_info=error)
    return Fault(500, "something of ours went wrong", code="internal_error", tip="the server's log says what")


def told(error: BaseException, request: Request) -> Fault:
    """Any error as a fault for who asked: where the project lies on the server is nobody's business."""
    fault, root = fault_of(error), str(request.app.state.house.project.root)
    fault.message, fault.tip = (
        text.replace(f"{root}/", "").replace(root, "the project") for text in (fault.message, fault.tip)
    )
    return fault


def install(app: FastAPI) -> None:
    """Let the application answer every error as a `Fault`; routes of pages answer theirs as pages themselves."""

    async def answer(request: Request, error: Exception) -> Response:
        return told(error, request).response()

    for kind in (Fault, TunewiseError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
