"""From the outbox to people: who hears of what, and every attempt to tell them."""
