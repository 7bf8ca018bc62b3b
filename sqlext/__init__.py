"""Deep learning on the images in Hive tables, in SQL alone (README.md)."""

from sqlext.session import attach, configure, session

__all__ = ["attach", "configure", "session"]
