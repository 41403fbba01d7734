"""Routes for those who run the server: health, readiness, metrics, and the description of the API."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from tunewise import __version__
from tunewise.errors import TunewiseError
from tunewise.machine import peak_memory
from tunewise.server.access import Admin, TheHouse
from tunewise.server.house import House

router = APIRouter(tags=["Service"])


@router.get("/health")
def health() -> dict[str, str]:
    """The process lives."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"description": "Not ready; `reason` says why."}})
def ready(house: TheHouse) -> JSONResponse:
    """The state's database answers, and the documents' index can be opened (or there are no documents yet)."""
    try:
        house.state.check()
        if house.answering.catalog.current() is not None:
            house.answering.books()
    except TunewiseError as error:
        return JSONResponse({"status": "not ready", "reason": type(error).__name__}, 503)
    return JSONResponse({"status": "ready"})


class Figures(Collector):
    """What Prometheus reads: collected when asked, kept nowhere."""

    def __init__(self, house: House, requests: dict[tuple[str, int], int]) -> None:
        self.house, self.requests = house, requests

    def collect(self) -> Any:
        """Every figure with what it counts."""
        answers = CounterMetricFamily("tunewise_answers", "Questions by how they ended", labels=["end"])
        for end, count in sorted(self.house.desk.counts.items()):
            answers.add_metric([end], count)
        yield answers
        labels = ["route", "status"]
        asked = CounterMetricFamily("tunewise_requests", "HTTP requests by route and status", labels=labels)
        for (route, status), count in sorted(self.requests.copy().items()):
            asked.add_metric([route, str(status)], count)
        yield asked
        yield GaugeMetricFamily("tunewise_queue", "Questions that wait or are being answered", self.house.desk.inside)
        yield GaugeMetricFamily("tunewise_queue_limit", "Room in the queue", self.house.desk.queue)
        yield GaugeMetricFamily("tunewise_peak_memory_bytes", "Largest resident size so far", peak_memory())
        about = GaugeMetricFamily("tunewise_info", "What runs here", labels=["version"])
        about.add_metric([__version__], 1)
        yield about


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, house: TheHouse, asker: Admin) -> Response:
    """Figures in Prometheus' text format (administrators)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(house, request.app.state.requests))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """The API on one plain page, made from the OpenAPI description: no script, nothing from elsewhere."""
    schema = request.app.openapi()
    rows = []
    for path, verbs in schema["paths"].items():
        for verb, about in verbs.items():
            fields = [
                f"<li><code>{escape(one['name'])}</code> ({escape(one['in'])}) {escape(one.get('description', ''))}"
                for one in about.get("parameters", ())
            ]
            for content in about.get("requestBody", {}).get("content", {}).values():
                fields += _fields(schema, content.get("schema", {}))
            text = escape(about.get("description", "")).replace("\n\n", "</p><p>")
            rows.append(
                f"<section><h2><code>{verb.upper()} {escape(path)}</code></h2><p>{text}</p><ul>{''.join(fields)}</ul>"
                f"<p>Answers: {', '.join(sorted(about['responses']))}</p></section>"
            )
    title = escape(schema["info"]["title"])
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width">'
        f'<body><h1>{title}</h1><p>{escape(schema["info"]["description"])} <a href="/openapi.json">openapi.json</a></p>'
        f"{''.join(rows)}</body></html>"
    )


def _fields(schema: dict[str, Any], one: dict[str, Any]) -> list[str]:
    named = one.get("$ref", "").rpartition("/")[2]
    one = schema["components"]["schemas"].get(named, one)
    if "oneOf" in one:
        return [line for choice in one["oneOf"] for line in _fields(schema, choice)]
    needed = set(one.get("required", ()))
    return [
        f"<li><code>{escape(name)}</code>{' (needed)' if name in needed else ''} {escape(about.get('description', ''))}"
        for name, about in one.get("properties", {}).items()
    ]
