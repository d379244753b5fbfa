"""What policies of each type say, read strictly and written canonically; a module per few types."""
