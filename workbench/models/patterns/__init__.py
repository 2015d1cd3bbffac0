"""Questions about counts and times: is it more than usual, when in the week."""
