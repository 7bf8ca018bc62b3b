"""From the bytes of a picture to the tensor that a network reads."""
