"""Statistics of tables: pure functions, frames or arrays in, frames or arrays out."""

__all__: list[str] = []
