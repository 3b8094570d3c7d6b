"""What reaches into a guest, or another machine under test, from outside."""
