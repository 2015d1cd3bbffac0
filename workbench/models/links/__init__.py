"""Links: who and what is tied to whom, and by which rows."""
