FROM python:3.11-slim
WORKDIR /app
# pg_dump and pg_restore, for the backup before a decommissioning and for rehearsals: of PostgreSQL's own archive, to match the server.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql-common \
    && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
    && apt-get install -y -qq --no-install-recommends postgresql-client-18 && rm -rf /var/lib/apt/lists/*
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY . .
RUN SECRET_KEY=build DATABASE_URL=postgres://x/x SEAM_MASTER_SECRETS=x COMMAND_DIGEST_SECRET=x REFRESH_TOKEN_SECRET=x \
    S3_ACCESS_KEY=x S3_SECRET_KEY=x REDIS_URL=redis://x JWT_SIGNING_KEY=x python manage.py collectstatic --noinput \
    && useradd --system app
USER app
EXPOSE 8000
CMD ["python", "-m", "landcontracts.server", "--bind", "0.0.0.0:8000"]
