"""How statements are read. Which statements exist is the business of ``sqlext.statements``."""
