"""Whether it is worth a page, of all shards together: is it rare, what does it cost, was it meant."""
