"""Measurements, each of which prints its figures and, in the same run, those of something to compare with."""
