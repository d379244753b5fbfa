"""What became of signed bytes: looked up, followed, landed or buried, and all of it again after a start."""
