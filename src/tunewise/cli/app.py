"""The tree of verbs, and `run`: one call of the program from its arguments to its exit code."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from tunewise import __version__
from tunewise.cli import (
    adapters,
    advising,
    answering,
    documents,
    house,
    indexing,
    measuring,
    questions,
    robustness,
    serving,
    terminal,
    tuning,
    updating,
)
from tunewise.cli.flags import with_globals
from tunewise.cli.messages import message
from tunewise.errors import DataMistake, TunewiseError

INTERRUPTED = 130
_SHOWN_FAULTS = 50
_EPILOG = """\b
Start:
  tunewise demo                      a finished comparison on a small handbook, offline
  tunewise init && tunewise ingest   your own documents
\b
Exit codes: 0 done, 1 failed, 2 your mistake, 3 a gate was not met, 130 Ctrl-C.
Every flag has a twin in the environment: --json is TUNEWISE_JSON=1, --k is TUNEWISE_K."""


def new_app() -> typer.Typer:
    """The application with all its verbs."""
    app = typer.Typer(
        name="tunewise", rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=False,
        context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG,
    )

    def root(
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False,
    ) -> None:
        """Should you prompt it, ground it, or tune it? Measured on your documents and your questions."""
        if version:
            terminal.out(f"tunewise {__version__}")
            raise typer.Exit(0)
        if context.invoked_subcommand is None:
            terminal.out(context.get_help())

    app.callback(invoke_without_command=True)(with_globals(root))
    for room in (documents, indexing, advising, answering, questions, tuning, measuring, robustness, updating,
                 adapters, serving, house):
        room.register(app)
    return app


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are printed, never raised (but see --debug)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    terminal.reset()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows "?" instead of stopping the program.
        if isinstance(stream, _TextFile):
            stream.reconfigure(errors="replace")
    # peft still asks transformers by old names: nothing that a user can mend.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    app = new_app()
    try:
        code = app(arguments, prog_name="tunewise", standalone_mode=False)
        sys.stdout.flush()
        # typer turns Ctrl-C in a command into this code.
        return _interrupted() if code == INTERRUPTED else code if isinstance(code, int) else 0
    except TunewiseError as error:
        _trace()
        terminal.error(error.message)
        if isinstance(error, DataMistake):
            _faults(error.faults)
        terminal.tip(error.tip)
        return error.exit_code
    except typer.TyperException as error:
        terminal.error(error.format_message())
        terminal.tip(message("usage_tip", command=" ".join(["tunewise", *_verb(app, arguments)])))
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        # The reader went away (`| head`): nothing to say, and nothing may be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _trace()
        where = f"{error.filename}: " if error.filename else ""
        terminal.error(f"{where}{error.strerror or error}")
        return 1
    except Exception as error:
        _trace()
        terminal.error(message("ours", what=f"{type(error).__name__}: {error}"))
        terminal.tip(message("ours_tip"))
        return 1


_TextFile = type(sys.__stderr__)


def _interrupted() -> int:
    terminal.say(message("interrupted"))
    return INTERRUPTED


def _trace() -> None:
    if terminal.manners.debug:
        traceback.print_exc()


def _faults(faults: Sequence[str]) -> None:
    shown = len(faults) if terminal.manners.verbose else _SHOWN_FAULTS
    for fault in faults[:shown]:
        print(f"  {fault}", file=sys.stderr)
    if len(faults) > shown:
        print(f"  … {len(faults) - shown} (--verbose)", file=sys.stderr)


def _verb(app: typer.Typer, arguments: Sequence[str]) -> list[str]:
    """The verb of a command line that could not be read, to point at its help."""
    words = [argument for argument in arguments if not argument.startswith("-")]
    known = [entry.name for entry in (*app.registered_commands, *app.registered_groups)]
    return words[:1] if words and words[0] in known else []
