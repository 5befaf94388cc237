"""Composition root: settings, addresses, the table of ticks, the admin site. Nothing imports it."""
