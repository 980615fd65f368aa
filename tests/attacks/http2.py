"""HTTP/2: its own ways to hide a request in another."""
