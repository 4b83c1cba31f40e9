// How one request reaches the engine: the version before its path, errors with what was being done, the same for all
// that speak to it. Shared by the engine object and by what it hands out, which may outlive it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"
#include "engine/docker/docker_json.h"
#include "engine/docker/limits.h"
#include "net/transport.h"

namespace gantry::engine::docker {

/// One request. `path` is without the version; `what` says what it does, for messages.
struct Call {
  net::Method method = net::Method::get;
  std::string path;
  std::string what;
  std::string body = {};  // JSON
  Duration timeout = call_timeout;
  std::size_t body_bytes_max = answer_bytes_max;
  net::Headers headers = {};
  std::shared_ptr<net::BodyReader> archive = {};  // tar, sent instead of `body`
  std::int64_t archive_bytes = -1;                // -1: not known
};

inline bool is_success(int status) { return status >= 200 && status < 300; }

/// Ids and names go into paths, where "." and ".." would lead elsewhere: throws Error(invalid_input) for what is none
/// of Docker's. `of` is what it is of: "container".
std::string checked_id(std::string id, std::string_view of = "container");
std::string short_id(const std::string& id);
/// As "repo=...&tag=..."; throws Error(invalid_input) for what is no reference, or one by digest.
std::string repository_query(const std::string& reference);

class Requests {
 public:
  /// `fresh` makes a new connection for each request.
  Requests(Env& env, std::shared_ptr<net::Transport> transport, std::shared_ptr<net::Transport> fresh)
      : env_(env), transport_(std::move(transport)), fresh_(std::move(fresh)) {}

  Env& env() { return env_; }
  /// Asks for the engine's version and speaks the newest that both know from then on.
  Async<Version> negotiate();
  /// On a connection of its own.
  Async<> ping();
  /// The answer, whatever its status; negotiates first.
  Async<net::IncomingResponse> exchange(Call call);
  /// The answer's body if its status says success, else status_error().
  Async<std::string> call(Call call);
  /// An answer whose body is still coming; that of an error is in head.body.
  Async<net::OpenResponse> open(Call call);
  /// The body if the status says success, else status_error().
  Async<std::shared_ptr<net::BodyReader>> open_body(Call call);
  /// The connection itself. Throws the transport's error in context.
  Async<std::shared_ptr<net::RawStream>> take_over(Call call);

 private:
  net::OutgoingRequest request_of(Call call) const;
  Async<> ensure_version();

  Env& env_;
  std::shared_ptr<net::Transport> transport_;
  std::shared_ptr<net::Transport> fresh_;
  std::string prefix_;  // "/v1.41" once it is known
};

}  // namespace gantry::engine::docker
