"""Templates to pages: the words in both languages, the frame, what is escaped. Knows nothing about any single page.

Every text stands in the page in English and in Chinese, and the style shows one of them: switching keeps the place, the
text in a box and a running answer. Autoescape is on for every template; nothing that a user or a document wrote is ever
marked as safe.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from tunewise import __version__

if TYPE_CHECKING:
    from tunewise.server.principals import Principal

ROOM = Path(str(files("tunewise.server.pages")))
STATIC = ROOM / "static"
LANGUAGES = ("en", "zh")


@cache
def words() -> Mapping[str, tuple[str, str]]:
    """Every text of the pages by key ("ask.name"), in English and Chinese."""
    tables = tomllib.loads((ROOM / "words.toml").read_text("utf-8"))
    return {f"{table}.{key}": (pair[0], pair[1]) for table, pairs in tables.items() for key, pair in pairs.items()}


def both(key: str, /, **values: Any) -> Markup:
    """A text in both languages, the values escaped: two spans, of which the style shows one."""
    english, chinese = (Markup(text).format(**values) for text in words()[key])
    return Markup('<span class="en" lang="en">{}</span><span class="zh" lang="zh-Hans">{}</span>').format(
        english, chinese
    )


def say(key: str, language: str, /, **values: Any) -> str:
    """A text in one language, not escaped yet."""
    return words()[key][LANGUAGES.index(language)].format(**values)


@pass_context
def _say(context: Context, key: str, /, **values: Any) -> str:
    return say(key, context["language"], **values)


@pass_context
def _attribute(context: Context, name: str, key: str, /, **values: Any) -> Markup:
    """An attribute in the page's language, with both texts beside it for the switch."""
    shown = Markup("") if name == "title" and key.endswith(".name") else Markup('{}="{}" ').format(
        name, say(key, context["language"], **values)
    )
    return shown + Markup('data-{0}-en="{1}" data-{0}-zh="{2}"').format(
        name, say(key, "en", **values), say(key, "zh", **values)
    )


@pass_context
def _text(context: Context, key: str, /, **values: Any) -> Markup:
    """The rest of a tag whose content cannot hold two spans (an option): `<option {{ text("…") }}</option>`."""
    return Markup('data-text-en="{}" data-text-zh="{}">{}').format(
        say(key, "en", **values), say(key, "zh", **values), say(key, context["language"], **values)
    )


@cache
def _stamp(name: str) -> str:
    return f"{__version__}-{(STATIC / name).stat().st_mtime_ns:x}"


def static(name: str) -> str:
    """The address of a static file, which changes with the file."""
    return f"/static/{name}?v={_stamp(name)}"


def size(count: int) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.1f} GB"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(ROOM / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    made.globals.update(t=both, attr=_attribute, text=_text, say=_say, static=static)
    made.filters["size"] = size
    return made


def language_of(request: Request) -> str:
    """The reader's language: what they chose, else the browser's, else the project's."""
    chosen = request.cookies.get("tunewise-language")
    if chosen in LANGUAGES:
        return chosen
    for part in request.headers.get("accept-language", "").split(","):
        code = part.split(";")[0].strip().casefold()[:2]
        if code in LANGUAGES:
            return code
    return "zh" if request.app.state.house.project.language == "zh" else "en"


def render(request: Request, template: str, *, who: Principal | None, **values: Any) -> str:
    """A template filled in, for a whole page or a piece of one."""
    theme = request.cookies.get("tunewise-theme")
    return _environment().get_template(template).render(
        name=request.app.state.house.project.name or "Tunewise",
        language=language_of(request),
        theme=theme if theme in ("light", "dark") else "",
        who=who,
        signed_in=who is not None and who.key is not None,
        **values,
    )


def page(
    request: Request, template: str, *, who: Principal | None, status: int = 200, **values: Any
) -> HTMLResponse:
    """A response that no cache keeps: it shows what this reader may see, now.

    Nothing is referred to other hosts; our own forms have to say where they come from, and under "no-referrer" a
    browser would say "null".
    """
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
    return HTMLResponse(render(request, template, who=who, **values), status_code=status, headers=headers)


def wants_piece(request: Request) -> bool:
    """Whether htmx or our own script asks for a piece rather than a person for a page."""
    return request.headers.get("hx-request") == "true"
