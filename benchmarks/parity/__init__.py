"""Parity: the same weights and the same rollouts, learned from by a peer's own code and by ours; what differs.

`cells.CELLS` says what is compared, `compare.run(cell, seed)` compares it, `table.table(records)` writes it down.
"""
