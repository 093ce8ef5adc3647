"""Batches to DataFrames: growable columns, tables with cheap snapshots, and running aggregates."""

__all__: list[str] = []
