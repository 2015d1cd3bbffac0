"""Hotspots: where incidents gather, where the next ones are to be expected, and whether a forecast was any good."""
