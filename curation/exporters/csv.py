"""csv: a header, then one line a clip; text that a spreadsheet would run as a formula is made plain text."""

from __future__ import annotations

from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from curation.exporters.base import Exporter, RowStream

# A cell that begins so is a formula (or a hidden one) to Excel, LibreOffice and Google Sheets.
_FORMULA = r"^[=+\-@\t\r]"


class CsvExporter(Exporter):
    """RFC 4180 lines in UTF-8, ended by a line feed. Empty cell = no value.

    A text cell that begins with = + - @, a tab or a carriage return gets a leading apostrophe, so that opening the file
    in a spreadsheet runs nothing; numbers are never touched. JSONL and Parquet hold every name exactly.
    """

    name = "csv"
    title = "CSV"
    suffix = ".csv"
    description = "A table with a header for spreadsheets and pandas; names that look like formulas get an apostrophe."

    def write(self, rows: RowStream, handle: IO[bytes]) -> None:
        with csv.CSVWriter(handle, rows.schema, write_options=csv.WriteOptions(quoting_style="needed")) as writer:
            for batch in rows.batches:
                writer.write_batch(pa.record_batch([_safe(column) for column in batch.columns], rows.schema))


def _safe(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    return pc.replace_substring_regex(column, _FORMULA, r"'\0")
