"""Rows of files of texts and their labels, with or without names of columns."""

import json
from collections import Counter
from collections.abc import Sequence

from rnnlab.data import files, hugging_face
from rnnlab.data.tables import LABEL_NAMES

TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "document")
Cell = object  # of JSON: a string, a number, a bool or None


def labeled_rows(path: str) -> tuple[list[str], list[str]]:
    """Return the texts and the labels of a file, as :func:`rnnlab.text.corpora.read_labeled`.

    Raises:
        FileNotFoundError, ValueError: as there.
    """
    suffix = files.suffix(path)
    if suffix == ".parquet":
        table = hugging_face.load_table(str(files.existing(path)))
        text, label = _named(path, table.column_names)
        numbers = range(len(table))
        return _checked(path, "row", numbers, list(table[text]), list(table[label]))
    if suffix in (".json", ".jsonl"):
        return _of_json(path)
    if suffix in (".csv", ".tsv"):
        rows = files.read_rows(path).rows
        cells = [row.cells for row in rows]
        numbers = [row.line for row in rows]
    else:
        numbers, cells = _lines(path)
    names = [cell.lower() for cell in cells[0]]
    if _place(names, TEXT_NAMES) is not None or _place(names, LABEL_NAMES) is not None:
        text, label = (names.index(name) for name in _named(path, names))
        cells, numbers = cells[1:], numbers[1:]
    else:
        text, label = _without_names(path, numbers, cells)
    return _checked(
        path, "line", numbers, [row[text] for row in cells], [row[label] for row in cells]
    )


def _lines(path: str) -> tuple[list[int], list[list[str]]]:
    """Return the numbers and the two columns of lines with a tab; other tabs belong to the text."""
    lines = [(n, line) for n, line in enumerate(files.read_lines(path), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{path} is empty")
    for number, line in lines:
        if "\t" not in line:
            raise ValueError(
                f"{path}, line {number}: expected a label, a tab and a text, got "
                f"{files.short(line)}"
            )
    first = [line.split("\t", 1) for _, line in lines]
    last = [line.rsplit("\t", 1) for _, line in lines]
    labels_first = len({row[0] for row in first}) <= len({row[1] for row in last})
    chosen = first if labels_first else last
    return [n for n, _ in lines], [[cell.strip() for cell in row] for row in chosen]


def _without_names(
    path: str, numbers: Sequence[int], cells: Sequence[Sequence[str]]
) -> tuple[int, int]:
    """Return the places of text and label in rows without names."""
    names = f"begin the file with a line of names, {TEXT_NAMES[0]} and {LABEL_NAMES[0]}"
    if len(cells[0]) != 2:
        raise ValueError(
            f"{path}, line {numbers[0]}: expected two columns, or their names, got "
            f"{files.short(str(list(cells[0])))}: {names}"
        )
    distinct = [len({row[place] for row in cells}) for place in range(2)]
    label = int(distinct[1] < distinct[0])
    labels = [row[label] for row in cells]
    others = Counter(labels[1:])
    if labels[0] not in others and len(others) > 1 and min(others.values()) > 1:
        raise ValueError(
            f"{path}, line {numbers[0]}: {labels[0]!r} is no label of any other line; if the line "
            f"has the names of columns, call them {TEXT_NAMES[0]} and {LABEL_NAMES[0]}"
        )
    return 1 - label, label


def _of_json(path: str) -> tuple[list[str], list[str]]:
    """Read a record, or a list of two values, per line; or one list of them (.json)."""
    rows: list[tuple[int, Cell]] = []
    unit = "line"
    text = files.read_text(str(files.existing(path)))
    if text.lstrip().startswith("[") and files.suffix(path) == ".json":
        unit = "row"
        rows = list(enumerate(_parsed(path, unit, 1, text), 1))  # type: ignore[arg-type]
    else:
        for number, line in enumerate(files.split_lines(text), 1):
            if line.strip():
                rows.append((number, _parsed(path, unit, number, line)))
    if not rows:
        raise ValueError(f"{path} is empty")
    numbers = [number for number, _ in rows]
    first = rows[0][1]
    if isinstance(first, dict):
        text_name, label_name = _named(path, list(first))
        texts, labels = [], []
        for number, row in rows:
            if not isinstance(row, dict) or not {text_name, label_name} <= set(row):
                raise ValueError(
                    f"{path}, {unit} {number}: expected a record with {text_name!r} and "
                    f"{label_name!r}, got {files.short(json.dumps(row, ensure_ascii=False))}"
                )
            texts.append(row[text_name])
            labels.append(row[label_name])
        return _checked(path, unit, numbers, texts, labels)
    for number, row in rows:
        if not isinstance(row, list) or len(row) != 2:
            raise ValueError(
                f"{path}, {unit} {number}: expected a record or a list of a text and a label, got "
                f"{files.short(json.dumps(row, ensure_ascii=False))}"
            )
    pairs = [[str(cell) for cell in row] for _, row in rows if isinstance(row, list)]
    text_at, label_at = _without_names(path, numbers, pairs)
    return _checked(
        path, unit, numbers, [row[text_at] for row in pairs], [row[label_at] for row in pairs]
    )


def _parsed(path: str, unit: str, number: int, text: str) -> Cell:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}, {unit} {number}, is not JSON: {error}") from None


def _place(names: Sequence[str], allowed: Sequence[str]) -> int | None:
    return next((names.index(name) for name in allowed if name in names), None)


def _named(path: str, names: Sequence[str]) -> tuple[str, str]:
    """Return the names of the columns of texts and of labels."""
    lower = [name.lower() for name in names]

    def found(what: str, allowed: Sequence[str]) -> str:
        place = _place(lower, allowed)
        if place is None:
            raise ValueError(
                f"{path} has no column {what!r}, only {list(names)} (names of such a column: "
                f"{', '.join(allowed)})"
            )
        return names[place]

    return found("text", TEXT_NAMES), found("label", LABEL_NAMES)


def _checked(
    path: str, unit: str, numbers: Sequence[int], texts: list[Cell], labels: list[Cell]
) -> tuple[list[str], list[str]]:
    """Return texts and labels as strings; a text of null is empty."""
    for number, text, label in zip(numbers, texts, labels, strict=True):
        if label is None or not str(label).strip():
            raise ValueError(f"{path}, {unit} {number}: the label is empty")
        if not isinstance(text, str | None):
            raise ValueError(
                f"{path}, {unit} {number}: expected a text, got {files.short(repr(text))}"
            )
    return ["" if text is None else str(text) for text in texts], [str(x).strip() for x in labels]
