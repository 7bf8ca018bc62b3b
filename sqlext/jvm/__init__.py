"""The Scala shim: its sources, its build, and the words it gets from the Python lists."""
