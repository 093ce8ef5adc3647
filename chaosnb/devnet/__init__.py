"""A simulated ChaosChain node: seeded agents with published parameters behind a real loopback socket."""

from chaosnb.devnet.agents import Parameters, Truth
from chaosnb.devnet.faults import Cut, Faults, Flood, Garbage, Refuse, Stall
from chaosnb.devnet.model import Model
from chaosnb.devnet.sent import Sent
from chaosnb.devnet.server import Devnet

__all__ = [
    "Cut",
    "Devnet",
    "Faults",
    "Flood",
    "Garbage",
    "Model",
    "Parameters",
    "Refuse",
    "Sent",
    "Stall",
    "Truth",
]
