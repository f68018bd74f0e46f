"""`make app NAME=…`: a new bounded app from `app/`, and its line wherever the platform names its services.

Here: the templates, the checks of a name, the registrations. Not here: what is drawn from the code afterwards, which
the Makefile's target runs.
"""
