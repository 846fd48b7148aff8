# hadolint global ignore=DL3008,DL4006,DL3066
# (Ignored above: versions of packages, which are Debian 12's; pipes in RUN; users by name.)
#
# Stand-ins for the public images, for machines that reach no image registry: Debian's packages behind the
# same names, users, paths and commands, as far as deploy/Dockerfile and docker-compose.yml use them.
# scripts/local-images builds each target below and tags it with the name of the real one. Not for
# operation: versions are Debian 12's. There is none for Grafana, which Debian does not have.

# A Debian of debootstrap's, made by scripts/local-images.
FROM localhost/debian:bookworm AS debian
# The real images of the small services are Alpine's or BusyBox: their health checks call this wget.
# Services must not start while they are installed. PostgreSQL's package would make a database at once.
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \
    && mkdir -p /etc/postgresql-common \
    && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
    && apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o Dpkg::Options::=--force-confold \
        busybox ca-certificates gcc libc6-dev \
        haproxy postgresql redis-server \
        prometheus prometheus-alertmanager prometheus-postgres-exporter prometheus-redis-exporter \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /bin/busybox /usr/local/bin/wget \
    && mkdir -p /folders/tmp && chmod 1777 /folders/tmp

# The toolchain is the machine's own, mounted to /usr/local/rustup by whoever builds; so are the
# downloaded crates, to /usr/local/cargo. The real image has both inside.
FROM debian AS rust
ENV CARGO_HOME=/usr/local/cargo \
    CARGO_NET_OFFLINE=true \
    PATH=/usr/local/rustup/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Like the real one: the C library, libgcc and certificates, and nothing that could be run.
FROM debian AS runtime-files
RUN mkdir /runtime \
    && dpkg -L libc6 libgcc-s1 | grep -E '/(ld-linux[^/]*|lib[^/]*\.so[^/]*)$' >/tmp/files \
    && echo /etc/ssl/certs/ca-certificates.crt >>/tmp/files \
    && tar -ch -T /tmp/files | tar -x -C /runtime \
    && if [ -d /runtime/lib64 ]; then :; else ln -s lib /runtime/lib64; fi \
    && printf 'root:x:0:0::/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n' \
        >/runtime/etc/passwd
FROM scratch AS distroless
COPY --from=runtime-files /runtime /
COPY --from=runtime-files /folders/tmp /tmp
USER 65532

FROM debian AS redis
RUN install -d -o redis -g redis /data
WORKDIR /data
CMD ["redis-server"]

FROM debian AS haproxy
USER haproxy
STOPSIGNAL SIGUSR1
ENTRYPOINT ["haproxy"]
CMD ["-f", "/usr/local/etc/haproxy/haproxy.cfg"]

# Starts as root, reads the password, makes the database on the first start, goes on as postgres.
FROM debian AS postgres
ENV PGDATA=/var/lib/postgresql/data
COPY postgres-entrypoint /usr/local/bin/
RUN install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres-entrypoint"]
CMD ["postgres"]

FROM debian AS prometheus
RUN install -d -o nobody -g nogroup /prometheus
USER nobody
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]

FROM debian AS alertmanager
RUN ln -s prometheus-alertmanager /usr/bin/alertmanager \
    && install -d -o nobody -g nogroup /alertmanager
USER nobody
WORKDIR /alertmanager
ENTRYPOINT ["/bin/alertmanager"]
CMD ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]

FROM debian AS redis-exporter
RUN ln -s /usr/bin/prometheus-redis-exporter /redis_exporter
USER 59000:59000
ENTRYPOINT ["/redis_exporter"]

FROM debian AS postgres-exporter
RUN ln -s prometheus-postgres-exporter /usr/bin/postgres_exporter
USER nobody
ENTRYPOINT ["/bin/postgres_exporter"]
