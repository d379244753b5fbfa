"""The HTTP API: decode, call, encode; the table of routes says who may call what."""
