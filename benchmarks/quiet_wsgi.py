"""The platform's WSGI application with the quiet service in its table."""

from landcontracts import wsgi  # sets Django up, which the table needs

# isort: split
from benchmarks import quiet

quiet.register()
application = wsgi.application
