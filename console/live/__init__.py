"""WebSockets: a snapshot when a page opens, then updates, at most twice a second."""
