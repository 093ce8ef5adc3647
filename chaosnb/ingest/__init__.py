"""From the wire to batches of events: transport, session, gap ledger and the pump that drives them."""

__all__: list[str] = []
