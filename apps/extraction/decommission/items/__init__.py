"""The items of the checklist, a module for each subject; each check reads its own evidence."""
