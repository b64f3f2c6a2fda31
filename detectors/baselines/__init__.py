"""What each series usually does, in bounded memory, and how far a minute is from it."""
