"""Live ChaosChain events as pandas DataFrames, plots and citable exports in a notebook."""

__version__ = "0.1.0.dev0"
__all__ = ["__version__"]
