"""The Scala shim: its sources, its build, and the words that it takes from the Python lists."""
