"""The only SQL in Python: modules by table; reads are async functions, writes return Statements."""
