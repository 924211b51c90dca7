"""csv: a header, then a line a clip; text that a spreadsheet would run as a formula is made plain, reversibly."""

from __future__ import annotations

import re
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from curation.exporters.base import Exporter, RowStream

# A cell that begins so is a formula (or a hidden one) to Excel, LibreOffice and Google Sheets. Apostrophes before it
# count too: one more is put in front of them, so that taking one away always gives the text back.
_BEGINS = r"'*[=+\-@\t\r\n＝＋－＠]"
_FORMULA = rf"^({_BEGINS})"
_ESCAPED = re.compile(rf"'(?={_BEGINS})")


class CsvExporter(Exporter):
    """RFC 4180 lines in UTF-8, ended by a line feed. Empty cell = no value.

    A text cell that begins with = + - @ (or their full-width forms), a tab or the end of a line, after any number of
    apostrophes, gets an apostrophe in front, so that opening the file in a spreadsheet runs nothing; numbers are never
    touched. `plain_text` takes it away. JSONL and Parquet hold every name exactly.
    """

    name = "csv"
    title = "CSV"
    suffix = ".csv"
    description = "A table with a header for spreadsheets and pandas; names that look like formulas get an apostrophe."

    def write(self, rows: RowStream, handle: IO[bytes]) -> None:
        with csv.CSVWriter(handle, rows.schema, write_options=csv.WriteOptions(quoting_style="needed")) as writer:
            for batch in rows.batches:
                writer.write_batch(pa.record_batch([_safe(column) for column in batch.columns], rows.schema))


def safe_text(text: str) -> str:
    """A cell that no spreadsheet runs."""
    return re.sub(_FORMULA, r"'\1", text)


def plain_text(cell: str) -> str:
    """The text behind a cell of this file: the inverse of `safe_text`."""
    return cell[1:] if _ESCAPED.match(cell) else cell


def _safe(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    return pc.replace_substring_regex(column, _FORMULA, r"'\1")
