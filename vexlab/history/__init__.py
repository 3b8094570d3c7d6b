"""What earlier runs tell: an index of them, statistics over them, two of them compared."""
