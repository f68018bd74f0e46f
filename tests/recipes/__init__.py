"""The recipes of docs/extending.md, applied to a copy of the tree."""
