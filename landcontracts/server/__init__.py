"""The web server: it receives a request's body before a thread is taken, with deadlines, lanes and limits (ADR 0031).

`python -m landcontracts.server` runs it. Here: connections, lanes of threads and what is refused before the
application. Not here: what the application answers.
"""
