"""Who is calling: the operator by password, a session by token; what failed is audited."""
