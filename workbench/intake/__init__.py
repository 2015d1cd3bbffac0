"""How facts come in. A file is taken in by ``lake.load``; what watches, fetches and judges files belongs here."""
