# docker build -t sluice .                                                  the image
# docker build --target sbom --output type=local,dest=sbom .                its bill of materials
# docker buildx build --platform linux/amd64,linux/arm64 -t sluice .        both architectures
#
# A release pins the base: --build-arg NODE_DIGEST=sha256:… (docs/image.md).
ARG NODE_IMAGE=node:24-bookworm-slim
ARG NODE_DIGEST=

# Runs on the machine that builds: BPF objects and JavaScript are the same for all architectures.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE}${NODE_DIGEST:+@}${NODE_DIGEST} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends clang llvm gcc libc6-dev libbpf-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build
# Modules with the native parts of the machine that will run them.
ARG TARGETARCH
WORKDIR /modules
RUN cp /src/package.json /src/package-lock.json /src/.npmrc . \
 && npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
      --os=linux --libc=glibc --cpu="$(echo "$TARGETARCH" | sed s/amd64/x64/)"
WORKDIR /src
RUN npm run stage -- /opt/sluice --arch "$TARGETARCH" --modules /modules/node_modules

FROM ${NODE_IMAGE}${NODE_DIGEST:+@}${NODE_DIGEST} AS runtime
# Brings libelf1 and zlib1g along.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libbpf1 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/cache/debconf/*-old \
      /var/lib/dpkg/*-old /var/log/apt /var/log/dpkg.log
COPY --from=build /opt/sluice /opt/sluice
ENV NODE_ENV=production \
    PATH=/opt/sluice/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /opt/sluice
# The agent is user 0 with the few capabilities of operator/health/capabilities.ts.
USER 0:0
ENTRYPOINT ["node", "/opt/sluice/dist/operator/agent/main.js"]
CMD []

FROM build AS bill
COPY --from=runtime /var/lib/dpkg/status /tmp/dpkg-status
RUN node scripts/sbom.mjs --tree /opt/sluice --dpkg-status /tmp/dpkg-status --out /sbom/sluice.spdx.json

FROM scratch AS sbom
COPY --from=bill /sbom/ /

FROM runtime AS image
ARG NODE_IMAGE
ARG NODE_DIGEST
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="Sluice node agent and sluicectl: a Kubernetes datapath of XDP and tc programs" \
      org.opencontainers.image.licenses="Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.base.name="$NODE_IMAGE" \
      org.opencontainers.image.base.digest="$NODE_DIGEST"
