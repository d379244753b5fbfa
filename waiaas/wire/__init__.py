"""Request and response bodies of the HTTP API, shared by the daemon and its clients."""
