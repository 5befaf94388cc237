"""The demo story: one team's last 90 days, ending now. Deterministic by seed; loaded into an empty portal only."""
