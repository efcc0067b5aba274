# The server alone, as a user without rights. Build: docker build -t coccinelle .
# Run: docker run -p 127.0.0.1:8080:8080 -v coccinelle:/var/lib/coccinelle --env-file .env coccinelle
FROM python:3.13-slim AS build
WORKDIR /opt/coccinelle
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv .venv
COPY requirements/run.txt requirements/run.txt
RUN .venv/bin/python -m pip install --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY domain domain
COPY storage storage
COPY voice voice
COPY messaging messaging
COPY dashboard dashboard
COPY providers providers
COPY server server
COPY sandbox sandbox
RUN .venv/bin/python -m pip install --no-index --no-deps --no-build-isolation --editable . \
    && .venv/bin/python -m compileall -q .

FROM python:3.13-slim
RUN useradd --system --home-dir /var/lib/coccinelle --create-home coccinelle
COPY --from=build /opt/coccinelle /opt/coccinelle
USER coccinelle
WORKDIR /var/lib/coccinelle
ENV HOST=0.0.0.0 PORT=8080 DATABASE_URL=sqlite:////var/lib/coccinelle/coccinelle.sqlite3
VOLUME /var/lib/coccinelle
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["/opt/coccinelle/.venv/bin/python", "-c", \
    "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/readyz\", timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/coccinelle/.venv/bin/coccinelle"]
CMD ["serve"]
