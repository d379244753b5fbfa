"""Settings, the data directory, the lock and the log."""
