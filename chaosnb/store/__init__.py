"""What goes to disk: exports."""

__all__: list[str] = []
