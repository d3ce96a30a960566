"""A model as a folder of files and the parts that are built from them."""
