"""Debian hosts for the tests, the demo and the benchmarks: containers with systemd, reached over SSH."""
