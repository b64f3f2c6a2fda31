"""The stage of a shard: the ledger, the series and the detectors, from frames to a report a minute."""
