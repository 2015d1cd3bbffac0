"""Questions about counts, times and places: is it more than usual, when in the week, does one follow another."""
