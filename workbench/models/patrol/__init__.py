"""Patrol: where to go, whether last week's plan was kept, whether it changed anything, and how many units the work needs."""
