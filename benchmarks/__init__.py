"""Measurements against peers, in pairs. ``python -m benchmarks`` runs them; they assert nothing."""
