# docker build -t teleferry .
# docker run -d --name teleferry -p 443:443 --sysctl net.ipv4.ip_unprivileged_port_start=0 -v teleferry:/var/lib/teleferry teleferry
# docker logs teleferry; docker exec teleferry /usr/bin/teleferry link
#
# Without settings it makes up a secret and a cover domain and keeps them in the volume. The variables MTP_PORT, MTP_SECRET, MTP_TAG,
# MTP_DD_ONLY and MTP_TLS_ONLY are those of the Erlang proxy's image; TELEFERRY_CONFIG names a configuration file.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p teleferry && install -d -m 700 /out/var/lib/teleferry

# The C library, certificates, and nothing else: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/teleferry /usr/bin/teleferry
COPY --from=build --chown=65532:65532 /out/var/lib/teleferry /var/lib/teleferry
# Where it keeps what it makes up and learns, and its control socket.
ENV STATE_DIRECTORY=/var/lib/teleferry
VOLUME /var/lib/teleferry
EXPOSE 443
# A number, so that orchestrators see that it is not root.
USER 65532:65532
# Connections have server.drain (ten seconds) to end by themselves.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/usr/bin/teleferry", "ctl", "status"]
ENTRYPOINT ["/usr/bin/teleferry"]
CMD ["run"]
