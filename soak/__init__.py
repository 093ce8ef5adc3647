"""Long runs against the simulated node: no event lost or told twice, and no memory that grows."""
