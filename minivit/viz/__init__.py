"""Look inside: maps.py (arrays -> arrays), plots.py (arrays -> figures), picture.py (a picture that needs no file)."""
