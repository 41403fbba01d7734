"""The web pages, rendered here on the server; they use the same `House` as the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

if TYPE_CHECKING:
    from tunewise.server.house import House


def router(house: House) -> APIRouter:
    """All pages, mounted at "/"; every route is left out of the OpenAPI schema."""
    return APIRouter(include_in_schema=False)
