"""parquet: the rows as one Parquet file, zstd compressed, a row group a batch."""

from __future__ import annotations

from typing import IO

import pyarrow.parquet as pq

from curation.exporters.base import Exporter, RowStream
from curation.exporters.csv import CsvExporter


class ParquetExporter(Exporter):
    """Typed columns, null = no value. Reads in pandas, pyarrow, DuckDB, Spark."""

    name = "parquet"
    title = "Parquet"
    suffix = ".parquet"
    description = "Typed and compressed, for pandas, DuckDB and Spark; the best choice for many rows."

    def write(self, rows: RowStream, handle: IO[bytes]) -> None:
        with pq.ParquetWriter(handle, rows.schema, compression="zstd") as writer:
            for batch in rows.batches:
                writer.write_batch(batch)

    def preview(self, rows: RowStream) -> str:
        """The rows as CSV text: the file itself is binary."""
        return CsvExporter().preview(rows)
