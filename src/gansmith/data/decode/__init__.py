"""From the bytes of a file to a picture of the wanted form."""
