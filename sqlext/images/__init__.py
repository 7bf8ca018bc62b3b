"""From the bytes of an image to the tensor that a network reads."""
