"""Attacks from one test host on the sites of another: see docs/testing.md. Nothing but Python's standard library."""
