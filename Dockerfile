# The first stage builds the server. The second is a small image that runs it as an unprivileged user.
ARG RUST_IMAGE=rust:1-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# The commit that `--version` names. The repository itself is not in the image.
ARG CROSSBAR_GROUPS_BUILD_COMMIT
RUN cargo build --release --locked --bin crossbar-groups

FROM ${RUN_IMAGE}
RUN useradd --system --uid 10001 --home-dir /var/lib/crossbar-groups --create-home crossbar-groups
# The slim image has no certificates; the server needs them for a store over https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/crossbar-groups /usr/local/bin/crossbar-groups
COPY docker/first-account.sh /usr/local/bin/first-account
USER 10001
WORKDIR /var/lib/crossbar-groups
VOLUME /var/lib/crossbar-groups
# Listen on all addresses: a container has its own network.
ENV CROSSBAR_GROUPS_LISTEN=0.0.0.0:8000 \
    CROSSBAR_GROUPS_ADMIN_LISTEN=127.0.0.1:8001 \
    CROSSBAR_GROUPS_STORE=sqlite:/var/lib/crossbar-groups/store.db
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["crossbar-groups", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["crossbar-groups"]
CMD ["serve"]
