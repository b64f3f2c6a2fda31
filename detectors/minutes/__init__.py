"""What each closed minute held: every event once, by series; what was spent under which labels."""
