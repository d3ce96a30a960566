"""Model bundles: a folder of files and the parts built from them."""
