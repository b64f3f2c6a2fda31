"""``python -m streams`` is ``burstwatch``."""

from streams.commands import main

if __name__ == "__main__":
    main()
