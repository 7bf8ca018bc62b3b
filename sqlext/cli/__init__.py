"""The command line: ``sqlext sql``, ``serve``, ``demo`` and ``doctor``."""
