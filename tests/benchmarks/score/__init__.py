"""How well `burstwatch score` ranks what is odd in made series of many kinds, beside simple detectors."""
