"""Which commit of a module's history brought a failure about: a search by git, with answers of the lab."""
