"""Drills: pages that test the way to people end to end, through the engine itself, and count nowhere."""
