# The builder: the image that host, SDK and plugins are compiled in. Add system packages that a plugin needs to compile, in RUN lines.
FROM rust:1.95.0-alpine3.23@sha256:606fd313a0f49743ee2a7bd49a0914bab7deedb12791f3a846a34a4711db7ed2
