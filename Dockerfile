# syntax=docker/dockerfile:1
# A small image of `midstream serve`: exactly what requirements-runtime.lock names, no build tools, no root.
FROM python:3.13-slim AS build
RUN python -m venv /opt/midstream
WORKDIR /src
COPY requirements-runtime.lock .
RUN /opt/midstream/bin/pip install --no-cache-dir --require-hashes -r requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY proxy proxy
COPY certs certs
COPY policies policies
RUN /opt/midstream/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/midstream midstream
COPY --from=build /opt/midstream /opt/midstream
COPY policies /etc/midstream/policies
ENV PATH=/opt/midstream/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
# The CA's key, budgets and the audit log: a volume, or agents must trust a new CA after every restart.
VOLUME /var/lib/midstream
EXPOSE 8080
# Streams may finish after SIGTERM (--grace); give the orchestrator's stop timeout a little more.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["midstream"]
CMD ["serve", "--listen", "0.0.0.0:8080", "--state", "/var/lib/midstream/state", "--policy", "/etc/midstream/policies/baseline.yaml"]
