"""The items of the checklist, a module for each subject; every check looks for itself."""
