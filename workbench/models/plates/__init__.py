"""Plates: what the readers saw of a vehicle, against what they see of any."""
