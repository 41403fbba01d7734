"""How far lexical groundedness and the citation ladder can be trusted: both on hand-labelled sentences.

    python bench/grounding.py

The sentences are those of tests/data, labelled by hand against sections of the two example handbooks. What there was to
choose was chosen on the even rows; the odd rows are the held-out half. Prints a table and, last, one JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from grounding_labels import figures, labelled  # noqa: E402
from tunewise.citations import unsupported  # noqa: E402
from tunewise.machine import machine, versions  # noqa: E402
from tunewise.scorers.grounding import THRESHOLD, support  # noqa: E402


def main() -> None:
    out = {}
    print("         language  rows  n    precision  recall  | taken for grounded: partly  not at all  contradicted")
    for language in ("en", "zh"):
        rows = labelled(language)
        for what, found in (
            ("grounded", [support(row.sentence, [row.section]) >= THRESHOLD for row in rows]),
            ("verified", [not unsupported(row.sentence, row.section) for row in rows]),
        ):
            for name, part in (("held out", slice(1, None, 2)), ("all", slice(None))):
                one = figures(rows[part], found[part])
                out[f"{what} {language} {name}"] = {k: round(v, 3) for k, v in one.items()} | {"n": len(rows[part])}
                print(f"{what} {language:8}  {name:8} {len(rows[part]):4} {one['precision']:8.2f} {one['recall']:8.2f}"
                      f"  | {one['p']:24.2f} {one['u']:11.2f} {one['c']:13.2f}")
    print(json.dumps({"name": "lexical groundedness", "figures": out, "units": "shares", "runs": 1,
                      "threshold": THRESHOLD, "machine": machine(), "versions": versions()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
