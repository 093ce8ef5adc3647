"""Whether the node turns new links away: by chance, by script, or because it was told to."""

from __future__ import annotations

from random import Random

from chaosnb.devnet.faults import Faults, Refuse

__all__ = ["Refusals"]


class Refusals:
    """Decides about each attempt to connect.

    Parameters
    ----------
    faults : Faults

    Examples
    --------
    >>> refusals = Refusals(Faults())
    >>> refusals.begin(100.0, Refuse(2.0))
    >>> refusals.check(101.0, 0), refusals.check(102.0, 0)
    (Refuse(seconds=2.0, status=503), None)
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._to_come = sorted(faults.refusals, key=lambda entry: entry[0])
        self._attempts = 0
        self._until_s = 0.0
        self._current: Refuse | None = None

    def begin(self, now_s: float, refuse: Refuse) -> None:
        """Refuse from now on for so many seconds; a longer time that runs already goes on."""
        if self._current is None or now_s + refuse.seconds >= self._until_s:
            self._until_s, self._current = now_s + refuse.seconds, refuse

    def check(self, now_s: float, elapsed_us: int) -> Refuse | None:
        """Return how an attempt is refused, or None.

        Parameters
        ----------
        now_s : float
            Real time in seconds; event time may stand still while no client is there.
        elapsed_us : int
            Event time since the beginning of the network, in microseconds.
        """
        while self._to_come and self._to_come[0][0] * 1e6 <= elapsed_us:
            self.begin(now_s, self._to_come.pop(0)[1])
        if self._current is not None and now_s < self._until_s:
            return self._current
        self._current = None
        self._attempts += 1
        share = self._faults.refuse
        if share and Random(f"{self._faults.seed}/refuse/{self._attempts}").random() < share:
            return Refuse(0.0)
        return None
