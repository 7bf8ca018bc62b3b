"""Java, jars, paths and session settings: everything that depends on the machine or its JVM."""
