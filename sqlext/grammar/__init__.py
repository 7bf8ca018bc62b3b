"""How statements are read. Which statements exist is defined in ``sqlext.statements``."""
