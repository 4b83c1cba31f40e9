// Bodies that come from the engine, with what they are in their errors.
#pragma once

#include <exception>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "net/transport.h"

namespace gantry::engine::docker {

/// Rethrows a transport's error as "docker: <what>: <its message>" with a hint; a cancellation stays one.
[[noreturn]] void rethrow_in_context(const std::exception_ptr& failure, const std::string& what);

/// The same bytes.
std::shared_ptr<net::BodyReader> in_context(std::shared_ptr<net::BodyReader> body, std::string what);

/// What Docker's frames carry. The connection is closed when the stream is destroyed.
std::shared_ptr<OutputStream> decode_frames(std::shared_ptr<net::BodyReader> body, std::string what);
std::shared_ptr<OutputStream> decode_frames(std::shared_ptr<net::RawStream> stream, std::string what);

/// The output of a terminal, which has no frames.
std::shared_ptr<OutputStream> raw_output(std::shared_ptr<net::BodyReader> body, std::string what);
std::shared_ptr<OutputStream> raw_output(std::shared_ptr<net::RawStream> stream, std::string what);

}  // namespace gantry::engine::docker
