"""How much of the words in real files our readers and other libraries give back, and how fast.

    python bench/reading.py --data FOLDER [--kind html] [--times 3] [--worst 5]

FOLDER holds one folder for each kind of file with `sources/NAME` and `groundtruth/NAME.md` (docling's layout). A word
is a run of letters or digits, a Chinese character is a word of its own; Markdown signs, link addresses and picture
marks are taken out of both sides. Recall: share of the ground truth's words that are in the text; precision: share of
the text's words that are in the ground truth; both as multisets, pooled over files and as the mean over files. Order:
share of the ground truth's runs of three words that stand in the text. Libraries that are not installed are left out.
"""

from __future__ import annotations

import argparse
import html
import importlib.metadata
import json
import platform
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

WORD = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff]|[^\W_\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff]+")


def words(text: str) -> list[str]:
    """Words of a text or of Markdown, in lower case."""
    text = re.sub(r"<!--.*?-->", " ", text, flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", " ", text)
    text = re.sub(r"(?<=\])\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)", " ", text)
    return [word.casefold() for word in WORD.findall(html.unescape(text))]


def ours(path: Path) -> str:
    from tunewise.reading import read_file

    return read_file(path).text


def pdfium(path: Path) -> str:
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    return "\n".join(page.get_textpage().get_text_range() for page in document)


def plumber(path: Path) -> str:
    import pdfplumber

    with pdfplumber.open(path) as document:
        return "\n".join(page.extract_text() or "" for page in document.pages)


def pypdf(path: Path) -> str:
    import pypdf

    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def trafilatura(path: Path) -> str:
    import trafilatura as library

    return library.extract(path.read_bytes(), include_comments=False, favor_recall=True) or ""


def soup(path: Path) -> str:
    import bs4

    return bs4.BeautifulSoup(path.read_bytes(), "lxml").get_text(" ")


def python_docx(path: Path) -> str:
    import docx

    return "\n".join(paragraph.text for paragraph in docx.Document(str(path)).paragraphs)


def mammoth(path: Path) -> str:
    import mammoth as library

    with path.open("rb") as file:
        return library.extract_raw_text(file).value


def openpyxl(path: Path) -> str:
    import openpyxl as library

    sheets = library.load_workbook(path, data_only=True).worksheets
    return "\n".join(
        " ".join(str(cell) for cell in row if cell is not None) for sheet in sheets
        for row in sheet.iter_rows(values_only=True)
    )


def calamine(path: Path) -> str:
    import python_calamine

    workbook = python_calamine.CalamineWorkbook.from_path(path)
    return "\n".join(
        " ".join(map(str, row)) for name in workbook.sheet_names
        for row in workbook.get_sheet_by_name(name).to_python()
    )


def markitdown(path: Path) -> str:
    import markitdown as library

    return library.MarkItDown().convert(path).text_content


READERS: dict[str, dict[str, Callable[[Path], str]]] = {
    "pdf": {"tunewise": ours, "pypdfium2": pdfium, "pdfplumber": plumber, "pypdf": pypdf, "markitdown": markitdown},
    "html": {"tunewise": ours, "trafilatura": trafilatura, "beautifulsoup4": soup, "markitdown": markitdown},
    "docx": {"tunewise": ours, "python-docx": python_docx, "mammoth": mammoth, "markitdown": markitdown},
    "pptx": {"tunewise": ours, "markitdown": markitdown},
    "xlsx": {"tunewise": ours, "openpyxl": openpyxl, "python-calamine": calamine, "markitdown": markitdown},
    "csv": {"tunewise": ours, "markitdown": markitdown},
}


def measure(name: str, read: Callable[[Path], str], pairs: list[tuple[Path, Path]], times: int) -> dict | None:
    rows, refused = [], 0
    seconds = 0.0
    for source, truth in pairs:
        want = words(truth.read_text(encoding="utf-8"))
        taken = []
        try:
            for _ in range(times):
                started = time.perf_counter()
                text = read(source)
                taken.append(time.perf_counter() - started)
        except ModuleNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - every library refuses in its own words; counted, shown
            refused += 1
            text = ""
            print(f"  {name} refused {source.name}: {type(error).__name__}: {str(error)[:90]}")
        seconds += min(taken, default=0.0)
        got = words(text)
        both = (Counter(want) & Counter(got)).total()
        runs = [Counter(zip(side, side[1:], side[2:], strict=False)) for side in (want, got)]
        rows.append((source.name, len(want), len(got), both, runs[0].total(), (runs[0] & runs[1]).total()))
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    wanted = [row for row in rows if row[1]]
    return {
        "reader": name, "version": version, "files": len(rows), "refused": refused,
        "recall": sum(row[3] for row in rows) / sum(row[1] for row in rows),
        "recall_mean": statistics.mean(row[3] / row[1] for row in wanted),
        "precision": sum(row[3] for row in rows) / max(1, sum(row[2] for row in rows)),
        "order": sum(row[5] for row in rows) / max(1, sum(row[4] for row in rows)),
        "seconds": seconds, "files_per_second": len(rows) / seconds if seconds else 0.0,
        "worst": sorted((row[3] / row[1], row[0], row[1], row[2]) for row in wanted)[:40],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kind", action="append", choices=sorted(READERS))
    parser.add_argument("--reader", action="append")
    parser.add_argument("--times", type=int, default=1, help="runs; the fastest counts")
    parser.add_argument("--worst", type=int, default=0, help="show so many files with the lowest recall")
    options = parser.parse_args()
    results = []
    for kind in options.kind or READERS:
        folder = options.data / kind
        pairs = [
            (source, truth) for source in sorted((folder / "sources").glob(f"*.{kind}"))
            if (truth := folder / "groundtruth" / f"{source.name}.md").is_file()
            or (truth := folder / "groundtruth" / f"{source.stem}.md").is_file()
        ]
        print(f"\n{kind}: {len(pairs)} files with ground truth")
        print(f"{'reader':18}{'refused':>8}{'recall':>9}{'mean':>7}{'precision':>11}{'order':>7}{'files/s':>9}")
        for name, read in READERS[kind].items():
            if options.reader and name not in options.reader:
                continue
            found = measure(name, read, pairs, options.times)
            if found is None:
                continue
            results.append({"kind": kind, **{key: value for key, value in found.items() if key != "worst"}})
            print(f"{name:18}{found['refused']:8}{found['recall']:9.3f}{found['recall_mean']:7.3f}"
                  f"{found['precision']:11.3f}{found['order']:7.3f}{found['files_per_second']:9.1f}")
            for share, file, want, got in found["worst"][: options.worst]:
                print(f"    {share:.2f} {file} ({want} words wanted, {got} got)")
    print(json.dumps({"name": "reading", "results": results, "runs": options.times, "machine": platform.platform(),
                      "python": platform.python_version()}))


if __name__ == "__main__":
    main()
