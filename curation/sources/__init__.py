"""Where media come from: a folder tree, a list of files, the reference's metadata tsv, a set of WebDataset tars."""
