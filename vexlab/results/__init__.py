"""What a verdict is."""
