"""What stops everything, or one agent: the operator, an owner, or AUTO_STOP; and what lets it go on."""
