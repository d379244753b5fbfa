"""The only SQL in Python: a module per table; reads are async functions, writes return Statements."""
