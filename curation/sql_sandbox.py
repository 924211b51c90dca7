"""One SELECT that people wrote, over named Parquet files and Arrow tables and nothing else; an Arrow table out."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from curation.errors import InputError

THREADS = 2
MEMORY = "1GB"


def query(
    sql: str,
    files: Mapping[str, Path],
    tables: Mapping[str, pa.Table],
    parameters: Sequence[Any] = (),
    *,
    time_limit_s: float = 0.0,
) -> pa.Table:
    """Run a SELECT over Parquet `files` and Arrow `tables`, both by name; no other file can be read, none written.

    Raises `InputError` for what fails, writes, or takes longer than `time_limit_s` seconds (0 = no limit).
    """
    connection = duckdb.connect(":memory:", config={"threads": THREADS, "memory_limit": MEMORY})
    alarm = threading.Timer(time_limit_s or 1e6, connection.interrupt)
    alarm.daemon = True
    if time_limit_s:
        alarm.start()
    try:
        for name, path in files.items():
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({_quoted(path)})")
        for name, table in tables.items():
            connection.register(name, table)
        allowed = ", ".join(map(_quoted, files.values()))
        connection.execute(f"SET allowed_paths = [{allowed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        # What may be read could be written too, and a condition could close its bracket and go on.
        if [statement.type for statement in connection.extract_statements(sql)] != [duckdb.StatementType.SELECT]:
            raise InputError("The query is not a single SELECT.", hint="Give one condition, without a semicolon.")
        return connection.sql(sql, params=list(parameters)).to_arrow_table()
    except duckdb.InterruptException as error:
        raise InputError(
            f"The query took longer than {time_limit_s:g} s.", hint="Make the condition simpler.", code="timeout"
        ) from error
    except duckdb.Error as error:
        raise InputError(f"The query failed: {error}", hint="Check the names of columns and the quotes.") from error
    finally:
        alarm.cancel()
        connection.close()


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
