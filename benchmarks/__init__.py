"""Speed and memory, measured against the peers: `make bench`, or `python -m benchmarks --short`."""
