# The PBX: Debian's Asterisk 22 (long-term support) with the hotline's prompts.
#   docker build -f docker/asterisk.Dockerfile -t hotline-asterisk .
# Its configuration comes from the `render` service (/rendered) and from the admin (/own).
ARG DEBIAN_IMAGE=debian:forky-slim

FROM ${DEBIAN_IMAGE}
# Fixed numbers: the service reads what this user writes.
RUN groupadd --system --gid 560 asterisk \
    && useradd --system --uid 560 --gid 560 --home-dir /var/lib/asterisk --no-create-home \
        --shell /usr/sbin/nologin asterisk \
    && apt-get update \
    && apt-get install -y --no-install-recommends \
        'asterisk=1:22.*' 'asterisk-core-sounds-en-wav=1.*' \
    && rm -rf /var/lib/apt/lists/* /etc/asterisk/* \
    && install -d -o asterisk -g asterisk -m 0755 /var/log/asterisk /var/log/asterisk/cel-custom \
    && chown -R asterisk:asterisk /etc/asterisk /var/lib/asterisk /var/spool/asterisk
COPY dialplans/sounds/ /usr/share/hotline/sounds/
# Laid out as telephony/private_pbx.py does it: ours by links, so that own recordings can be mounted
# over one place, and English for what we have no prompt for. One path of modules on every machine.
RUN mkdir -p /usr/share/asterisk/sounds/zh /usr/lib/asterisk \
    && ln -s /usr/share/asterisk/sounds/en/* /usr/share/asterisk/sounds/zh/ \
    && ln -s /usr/share/hotline/sounds/zh/hotline /usr/share/asterisk/sounds/zh/hotline \
    && ln -s /usr/share/hotline/sounds/en/hotline /usr/share/asterisk/sounds/en/hotline \
    && ln -s /usr/share/hotline/sounds/moh /usr/share/asterisk/sounds/hotline-moh \
    && ln -s /usr/lib/*-linux-gnu*/asterisk/modules /usr/lib/asterisk/modules
COPY docker/asterisk-entrypoint.sh /usr/local/bin/asterisk-entrypoint
COPY docker/asterisk-healthy.sh /usr/local/bin/asterisk-healthy
USER 560
EXPOSE 5060/udp 10000-10099/udp
ENTRYPOINT ["asterisk-entrypoint"]
