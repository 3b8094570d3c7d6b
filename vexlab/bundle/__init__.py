"""A failure that travels: what of a run goes into an archive, how one is read, and what repeats the failure."""
