"""The global flags, and `command`, which gives them to every verb: before it and after it they mean the same."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from tunewise.cli.terminal import guard_sockets, manners

_GLOBALS: dict[str, Any] = {
    "json": Annotated[bool | None, typer.Option("--json", envvar="TUNEWISE_JSON", help="Print one JSON value.")],
    "quiet": Annotated[bool | None, typer.Option("--quiet", "-q", envvar="TUNEWISE_QUIET", help="Only the result.")],
    "verbose": Annotated[bool | None, typer.Option("--verbose", "-v", envvar="TUNEWISE_VERBOSE", help="Say more.")],
    "color": Annotated[Literal["auto", "always", "never"] | None,
                       typer.Option("--color", envvar="TUNEWISE_COLOR", help="Colours; NO_COLOR is respected.")],
    "no_progress": Annotated[bool | None, typer.Option("--no-progress", envvar="TUNEWISE_NO_PROGRESS",
                                                       help="No progress on stderr.")],
    "offline": Annotated[bool | None, typer.Option("--offline", envvar="TUNEWISE_OFFLINE", help="Open no socket.")],
    "debug": Annotated[bool | None, typer.Option("--debug", envvar="TUNEWISE_DEBUG", help="Show tracebacks.")],
    "config": Annotated[str | None, typer.Option("--config", "-c", metavar="PATH", envvar="TUNEWISE_CONFIG",
                                                 help="The tunewise.toml to use (default: found upwards).")],
}


def settle(given: dict[str, Any]) -> dict[str, Any]:
    """Take the global flags out of a command's values and act on them; what is left is the command's own."""
    for name in _GLOBALS:
        value = given.pop(name)
        # The same flag may stand before the verb and after it; absent in one place does not undo the other.
        if value is not None:
            setattr(manners, name, value)
    if manners.offline:
        guard_sockets()
    return given


def with_globals(function: Callable[..., None]) -> Callable[..., None]:
    """The function with the global flags in its signature, for typer to read."""

    @functools.wraps(function)
    def wrapped(**given: Any) -> None:
        function(**settle(given))

    own = inspect.signature(function, eval_str=True)
    flags = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
             for name, annotation in _GLOBALS.items()]
    signature = own.replace(parameters=[*own.parameters.values(), *flags], return_annotation=None)
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    del wrapped.__wrapped__  # type: ignore[attr-defined]
    return wrapped


def command(app: typer.Typer, name: str, *, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a verb with the global flags and an example in its help."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        lines = "\n".join(f"  {line}" for line in example.splitlines())
        # "\b" keeps the lines of the example from being joined.
        app.command(name, epilog=f"\b\nExample:\n{lines}")(with_globals(function))
        return function

    return decorate
