"""Which of several services records a PBX: a lock, its keeper, and who holds it now."""
