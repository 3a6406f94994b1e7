# One image for every Airflow process. The code is baked in; secrets come from the environment.
FROM python:3.11-slim-trixie AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir uv
WORKDIR /opt/retention
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --extra production --no-install-project
COPY plugins plugins
RUN uv sync --locked --no-dev --extra production

FROM python:3.11-slim-trixie
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --create-home retention \
    && install -d -o retention /var/lib/retention /var/lib/retention/airflow /var/lib/retention/work
COPY --from=build /opt/retention /opt/retention
WORKDIR /opt/retention
COPY dags dags
COPY dbt_project dbt_project
COPY expectations expectations
ENV PATH=/opt/retention/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/var/lib/retention/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/retention/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/retention/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    RETENTION_PROJECT=/opt/retention \
    RETENTION_WORK=/var/lib/retention/work \
    DBT_LOG_PATH=/var/lib/retention/work/dbt-logs \
    DBT_SEND_ANONYMOUS_USAGE_STATS=false \
    GX_ANALYTICS_ENABLED=false
USER retention
# Airflow leaves children behind when it is process 1.
ENTRYPOINT ["tini", "--"]
CMD ["airflow", "version"]
