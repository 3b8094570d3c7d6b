"""What can be known of a filesystem from its source tree alone: files are read, and nothing in them is run."""
