"""Oversight: who asked what, for which case and why; kept so that it cannot be changed unseen."""
