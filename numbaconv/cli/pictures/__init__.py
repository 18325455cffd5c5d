"""Folders of images: what is one, how it is read and written, what travels with it, who works."""
