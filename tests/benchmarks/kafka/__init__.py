"""What needs a broker: throughput beside other engines, latency, recovery, several workers."""
