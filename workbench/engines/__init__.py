"""Where a heavy query runs; DuckDB by default."""
