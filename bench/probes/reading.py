"""The probes of reading as a whole: python bench/probes/reading.py [--mutations 10000] [--only hostile …]

hostile    each hostile file alone: refused or read, the parent lives, child at most 1 GiB and 30 s (HF2, HF3, OM1)
folder     1,000 files of which 30 are broken: 970 documents, 30 reasons
mutations  seeded mutations over 60 seeds of all formats: no crash, no hang, no reader's own failure (HF1)
parsers    our own parsers under a fuzzer that coverage guides: nothing but our own errors (HF5)
full       a web page cannot be written to its end (a limit on file sizes): an error, the old page whole (DF1)

Prints a table and, last, one JSON object; exit code 1 when a pass line is missed. The figures hold for n trials:
0 failures prove at most 3/n.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import format_seeds  # noqa: E402 - from the tests, whose sample of this it is
import fuzzed_parsers  # noqa: E402
import hostile_files  # noqa: E402
from test_hostile import CANARY, Listener  # noqa: E402
from tunewise.reading import read_folder  # noqa: E402

GIB = 1 << 30


def peak() -> int:
    """Bytes of the largest child that has ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def hostile(folder: Path, size: int) -> dict:
    canary = folder / "canary.txt"
    canary.write_text(CANARY)
    listener = Listener()
    made = hostile_files.hostile(canary, listener.address, size)
    made |= {
        "million.xlsx": lambda: hostile_files.cells(1000, 1000), "tall.xlsx": lambda: hostile_files.cells(1_000_000, 1),
        "cells.csv": lambda: b"a,b,c,d\n" * 1_000_000, "many.html": lambda: b"<p>word</p>" * 1_000_000,
        "table.html": lambda: b"<table>" + b"<tr><td>a<td>b" * 500_000 + b"</table>",
    }
    worst = {"seconds": 0.0, "bytes": 0}
    faults = []
    for name, make in made.items():
        root = folder / name.replace(".", "_")
        root.mkdir()
        (root / name).write_bytes(make())
        started = time.monotonic()
        documents, unread = read_folder(root, processes=1)
        seconds = time.monotonic() - started
        said = unread[0].reason if unread else f"read: {len(documents[0].text):,} characters"
        print(f"  {name:16} {(root / name).stat().st_size >> 10:8} KiB {seconds:6.1f} s  {said[:110]}")
        if not documents and not unread:
            faults.append(f"{name}: neither read nor refused")
        if any(CANARY in document.text for document in documents):
            faults.append(f"{name}: the canary was read")
        worst = {"seconds": max(worst["seconds"], seconds), "bytes": max(worst["bytes"], peak())}
    if listener.count:
        faults.append(f"{listener.count} connection(s)")
    if worst["bytes"] > GIB:
        faults.append(f"a child took {worst['bytes'] >> 20} MiB")
    if worst["seconds"] > 30:
        faults.append(f"a file took {worst['seconds']:.0f} s")
    return {"files": len(made), "peak_mib": worst["bytes"] >> 20, "longest_s": round(worst["seconds"], 1),
            "faults": faults}


def folder_of_1000(folder: Path) -> dict:
    names = []
    for number in range(970):
        (folder / f"{number:04}.md").write_text(f"# Rule {number}\n\nSend it back in {number} days. 请在期限内退回。")
    broken = [b"", b"%PDF-1.7 cut", b"PK\x03\x04 no archive", bytes(range(256)) * 8, b"\x7fELF" * 9]
    for number in range(30):
        names.append(f"bad{number:02}{('.pdf', '.docx', '.xlsx', '.txt', '.eml', '.epub')[number % 6]}")
        (folder / names[-1]).write_bytes(broken[number % 5])
    started = time.monotonic()
    documents, unread = read_folder(folder)
    fine = len(documents) == 970 and sorted(one.source for one in unread) == sorted(names)
    return {"documents": len(documents), "unread": len(unread), "seconds": round(time.monotonic() - started, 1),
            "faults": [] if fine and all(one.reason for one in unread) else ["not 970 and 30"]}


def mutations(folder: Path, count: int) -> dict:
    random_ = random.Random(1)
    seeds = format_seeds.seeds()
    names = sorted(seeds)
    for number in range(count):
        name = names[number % len(names)]
        (folder / f"{number:05}{Path(name).suffix}").write_bytes(hostile_files.mutation(seeds[name], random_))
    started = time.monotonic()
    documents, unread = read_folder(folder)
    seconds = time.monotonic() - started
    answered = {document.id for document in documents} | {one.source for one in unread}
    kinds = Counter(
        kind for one in unread for kind, mark in
        (("reader died", "its reader died"), ("hang", "longer than"), ("memory", "GiB of memory"),
         ("reader failed", "its reader failed")) if mark in one.reason
    )
    for one in [one for one in unread if "its reader failed" in one.reason or "longer than" in one.reason][:20]:
        print(f"  {one.source}: {one.reason[:150]}")
    faults = [f"{kinds[kind]} × {kind}" for kind in ("hang", "reader failed") if kinds[kind]]
    if len(answered) != count:
        faults.append(f"{count - len(answered)} files without an answer")
    if peak() > GIB:
        faults.append(f"a child took {peak() >> 20} MiB")
    refused = len({one.source for one in unread})
    return {"n": count, "seeds": len(seeds), "read": len(documents), "refused": refused, **kinds,
            "seconds": round(seconds, 1), "peak_mib": peak() >> 20, "faults": faults}


def parsers(seconds: float) -> dict:
    runs, edges, faults = 0, 0, []
    for name in fuzzed_parsers.PARSERS:
        found = fuzzed_parsers.fuzz(name, seconds=seconds / len(fuzzed_parsers.PARSERS))
        print(f"  {name:24} {found.runs:8} inputs {len(found.edges):6} edges {len(found.kept):6} kept")
        for error, data in found.findings.items():
            print(f"    {error} {data[:200]!r}")
            faults.append(f"{name}: {error}")
        runs, edges = runs + found.runs, edges + len(found.edges)
    return {"parsers": len(fuzzed_parsers.PARSERS), "inputs": runs, "edges": edges, "faults": faults}


def full_disk(folder: Path) -> dict:
    from tunewise.errors import DiskFull
    from tunewise.store import write_bytes

    page = folder / "web" / "page.html"
    write_bytes(page, b"<p>old</p>")
    faults = []
    try:
        # As large as a file may be is where the disk is full for this process.
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            write_bytes(page, b"<p>new</p>" * 10_000)
            faults.append("no error")
        except (DiskFull, OSError) as error:
            print(f"  {type(error).__name__}: {error}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    if page.read_bytes() != b"<p>old</p>" or len(list(page.parent.iterdir())) != 1:
        faults.append("the old page is not whole, or something is left beside it")
    documents, _ = read_folder(folder, processes=1)
    return {"faults": faults + ([] if documents[0].text == "old" else ["the old page cannot be read"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=300, help="MiB to which bombs unpack")
    parser.add_argument("--seconds", type=float, default=300, help="of fuzzing, over all parsers")
    parser.add_argument("--only", nargs="*", default=["hostile", "folder", "mutations", "parsers", "full"])
    options = parser.parse_args()
    probes = {
        "hostile": lambda folder: hostile(folder, options.size), "folder": folder_of_1000,
        "mutations": lambda folder: mutations(folder, options.mutations),
        "parsers": lambda folder: parsers(options.seconds), "full": full_disk,
    }
    results = {}
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = probes[name](Path(folder))
        print(f"{name}: {'FAILED' if results[name]['faults'] else 'passed'} {results[name]}")
    print(json.dumps({"name": "probes of reading", "results": results, "machine": platform.platform(),
                      "python": platform.python_version()}))
    raise SystemExit(any(result["faults"] for result in results.values()))


if __name__ == "__main__":
    main()
