// The container engine that is Docker, over its HTTP API: a Unix socket or TCP. Versions 1.39 to 1.44 of the API
// (Docker 18.09 and later). The life of a task is five requests: create, attach, start, wait, remove.
//
// Errors are engine.h's, with the engine's own words: 400 is invalid_input (a command that is not in the image, say),
// 404 not_found, 409 conflict, 401 and 403 not_authorized, 5xx unavailable; `unsupported` if what answers is no Docker
// of a version we know.
//
// logs() gives what attach() gave, byte for byte on each stream; Docker stores stdout and stderr by two writers, so
// that pieces of different streams may stand in another order.
//
// Belongs to the io_context thread; calls may run at the same time. Streams that were handed out stay usable after the
// engine object is gone.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "engine/engine.h"
#include "net/transport.h"

namespace gantry::engine {

/// `url` is "unix:///var/run/docker.sock", "tcp://host:port" or "https://host:port"; throws Error(invalid_input) for
/// another. As with the docker command, tcp is TLS if DOCKER_TLS_VERIFY is set, with the certificates in
/// DOCKER_CERT_PATH (~/.docker). Does not connect yet: call info() to find out whether the engine is there.
std::unique_ptr<Engine> make_docker_engine(Env& env, std::string url);

/// Over TCP with TLS: ca.pem, cert.pem and key.pem of the directory are read now; throws Error(not_found,
/// invalid_input) that names the file if one cannot be used.
std::unique_ptr<Engine> make_docker_engine(Env& env, std::string url, std::string certificate_directory);

/// The same over any transport.
std::unique_ptr<Engine> make_docker_engine(Env& env, std::shared_ptr<net::Transport> transport);

}  // namespace gantry::engine
