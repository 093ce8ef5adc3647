"""A simulated ChaosChain node: seeded agents with published parameters behind a real loopback socket."""

from chaosnb.devnet.agents import Parameters, Truth
from chaosnb.devnet.model import Model
from chaosnb.devnet.server import Devnet

__all__ = ["Devnet", "Model", "Parameters", "Truth"]
