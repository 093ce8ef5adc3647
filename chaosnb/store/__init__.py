"""What goes to disk and comes back: recordings and exports."""

__all__: list[str] = []
