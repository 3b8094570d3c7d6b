"""What a run is asked to do, and where things are."""
