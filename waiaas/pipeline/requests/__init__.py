"""What is asked: judged, previewed, judged again under other policies, and accepted with its money set aside."""
