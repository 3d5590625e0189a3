# Two stages: build with everything, run with the libraries only.
#
#   docker build -t understudy .
#   docker run --rm understudy demo --fast
#   docker run -p 8080:8080 -v understudy-data:/data -v ./etc:/etc/understudy:ro -e OPENAI_API_KEY \
#     understudy serve --config /etc/understudy/understudy.toml --data /data --listen 0.0.0.0:8080
#
# Without keys ([[keys]] in the configuration) the gateway refuses to listen on anything but loopback, in a container too:
# a published port needs keys. Not built by this project's tests, which have no Docker.
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY . .
# The sentence encoder is part of it (docs/guide/encoder.md); --build-arg UNDERSTUDY_ENCODER=off leaves it out.
ARG UNDERSTUDY_ENCODER=on
RUN CI=true ./dev build && strip build/release/understudy \
  && mkdir -p /out/lib/understudy /out/share/understudy \
  && if [ -e build/release/libunderstudy_openvino.so ]; then \
       cp build/release/libunderstudy_openvino.so .deps/openvino/libs/libopenvino.so.2641 \
          .deps/openvino/libs/libopenvino_intel_cpu_plugin.so .deps/openvino/libs/libopenvino_onnx_frontend.so.2641 \
          .deps/openvino/libs/libtbb.so.12 /out/lib/understudy/ \
       && cp -r .deps/openvino/licenses /out/lib/understudy/ && cp -r .deps/encoder/all-MiniLM-L6-v2 /out/share/understudy/encoder; \
     fi

FROM debian:bookworm-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates libfmt9 libjemalloc2 libspdlog1.10 libsimdjson14 libsqlite3-0 libssl3 libzstd1 zlib1g \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --system --home-dir /data --no-create-home understudy \
  && install -d -o understudy /data
COPY --from=build /src/build/release/understudy /usr/local/bin/understudy
COPY --from=build /out /usr/local
COPY --from=build /src/data/demo /usr/local/share/understudy/demo
USER understudy
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["understudy"]
CMD ["--help"]
