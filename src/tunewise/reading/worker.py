"""The child process of `folder.py`: reads one file for each line of its input, one JSON line out for each.

It may be killed at any time. It knows nothing about folders, and opens nothing but the file that it is told to read.
"""

from __future__ import annotations

import json
import os
import sys
import warnings

MEMORY = 2 << 30
"""Bytes of address space of one child."""


def main() -> None:
    """Read requests {"path", "id", "passwords"} from standard input until it ends."""
    # Libraries print; the answers go through a copy of the channel that they do not know.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    _limit()

    from tunewise.errors import TunewiseError
    from tunewise.nouns import to_json
    from tunewise.reading import read_file

    for line in sys.stdin:
        request = json.loads(line)
        notes: list[str] = []
        try:
            document = read_file(request["path"], id=request["id"], passwords=request["passwords"], notes=notes)
            answer = {"document": to_json(document), "notes": notes}
        except TunewiseError as error:
            answer = {"reason": error.message, "tip": error.tip}
        except MemoryError:
            # Not to be trusted any more: what was half built may still hold the memory.
            answer = {"reason": f"it needs more than {MEMORY >> 30} GiB of memory", "last": True}
        except RecursionError:
            answer = {"reason": "it is nested too deeply"}
        except Exception as error:  # noqa: BLE001 - a library's surprise costs one file and is told in its own words
            answer = {"reason": f"its reader failed: {type(error).__name__}: {str(error)[:200]}"}
        channel.write(json.dumps(answer) + "\n")
        channel.flush()
        if answer.get("last"):
            return


def _limit() -> None:
    import resource

    for kind, value in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):
            # Some systems know no such limit; the time-out still holds.
            continue


if __name__ == "__main__":
    main()
