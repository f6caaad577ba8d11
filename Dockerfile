# One image for every part: web, worker, beat, observer and engine instances differ only in their command (compose.yaml).
FROM python:3.12-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /srv/statehouse
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
COPY pyproject.toml ./
RUN uv sync --no-dev
COPY package.json ./
RUN uv run --no-dev npm install --omit=dev --ignore-scripts --no-audit --no-fund
COPY . .
RUN STATEHOUSE_DEBUG=1 uv run --no-dev manage.py collectstatic --noinput

FROM python:3.12-slim-bookworm
RUN useradd --create-home --uid 10001 statehouse && install -d -o statehouse -g statehouse -m 0750 /var/lib/statehouse
COPY --from=build --chown=statehouse:statehouse /srv/statehouse /srv/statehouse
WORKDIR /srv/statehouse
USER statehouse
ENV PATH="/srv/statehouse/.venv/bin:$PATH" PYTHONUNBUFFERED=1 STATEHOUSE_DATA_DIR=/var/lib/statehouse
VOLUME /var/lib/statehouse
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "console.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off"]
