# The service: HTTP, record of calls, command line. Build from the project's root:
#   docker build -f docker/service.Dockerfile -t hotline-service .
# 3.11 is the oldest Python that the project runs on, and the one its tests run on.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
# Where packages come from, if not from the usual index.
ARG PIP_INDEX_URL
WORKDIR /app
COPY requirements.lock pyproject.toml ./
COPY scripts/runtime_lock.py scripts/
RUN python scripts/runtime_lock.py setuptools > runtime.lock \
    && python -m venv /opt/hotline \
    && /opt/hotline/bin/pip install --no-cache-dir --no-deps --require-hashes -r runtime.lock
COPY LICENSE README.md ./
COPY telephony/ telephony/
COPY api/ api/
# Editable, so that the code finds dialplans/ and migrations/ beside it, as in a checkout.
RUN /opt/hotline/bin/pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && /opt/hotline/bin/hotline --help > /dev/null \
    && /opt/hotline/bin/pip uninstall --yes setuptools pip

FROM ${PYTHON_IMAGE}
# The group and number of the Asterisk image's user: what the PBX writes can be read here.
RUN groupadd --system --gid 560 asterisk \
    && groupadd --system --gid 561 hotline \
    && useradd --system --uid 560 --gid 560 --no-create-home --shell /usr/sbin/nologin asterisk \
    && useradd --system --uid 561 --gid 561 --groups asterisk --no-create-home \
        --shell /usr/sbin/nologin hotline \
    && install -d -o asterisk -g asterisk -m 0750 /rendered \
    && install -d -o hotline -g hotline -m 0750 /var/lib/hotline
COPY --from=build /opt/hotline /opt/hotline
WORKDIR /app
COPY LICENSE README.md pyproject.toml ./
COPY telephony/ telephony/
COPY api/ api/
COPY dialplans/ dialplans/
COPY migrations/ migrations/
ENV PATH=/opt/hotline/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 561
WORKDIR /var/lib/hotline
EXPOSE 8000/tcp
ENTRYPOINT ["hotline"]
CMD ["up"]
