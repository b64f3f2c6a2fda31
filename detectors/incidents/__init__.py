"""Incidents: what belongs together, with onset, cause and life. One incident, one page."""
