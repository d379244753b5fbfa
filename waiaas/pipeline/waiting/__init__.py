"""What is accepted and not signed yet: released when its delay is over, decided by its owner, taken back, run out."""
