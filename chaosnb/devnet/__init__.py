"""A simulated ChaosChain node: seeded agents with published parameters behind a real loopback socket."""

from chaosnb.devnet.agents import Parameters, Truth
from chaosnb.devnet.model import Model

__all__ = ["Model", "Parameters", "Truth"]
