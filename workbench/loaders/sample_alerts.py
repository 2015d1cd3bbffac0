"""Public alerts of Fairwater, the made-up city (Common Alerting Protocol)."""

from dataclasses import replace

from workbench.loaders import cap_alerts

SOURCE = replace(
    cap_alerts.SOURCE,
    name="sample_alerts",
    title="Fairwater (made-up city): public alerts",
    zone="America/Chicago",
    notes=("A watch that is updated and then cancelled is one event with three editions; a test keeps that status.",),
)
