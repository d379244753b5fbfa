"""What runs in the background, and how often."""
