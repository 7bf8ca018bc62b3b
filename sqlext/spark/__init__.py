"""Everything that is asked of a JVM or of a file system: Java, jars, paths, settings of the session, Spark's types."""
