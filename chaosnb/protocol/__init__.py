"""The ChaosChain protocol: messages, table columns, signatures and ISO 8601 text. No I/O, no clock."""

__all__: list[str] = []
