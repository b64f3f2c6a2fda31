"""The stages over files, as fast as the machine can, and the demo that shows it."""
