"""What runs in the guest: ordinary functions, which tests call by name with `guest.call` and `scratch.call`.

agent.py gets their sources when it starts, and says how a call goes. They import the standard library and each other.
What they take and return is what JSON has: lists and no tuples, text as the name in a dictionary. What they raise fails
the check; an AssertionError with a sentence of its own.
"""
