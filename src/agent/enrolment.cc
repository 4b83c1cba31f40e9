#include "agent/enrolment.h"

#include <fmt/format.h>

#include "agent/limits.h"
#include "base/files.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr std::size_t enrolment_bytes_max = 64 * 1024;
constexpr Duration join_retry = seconds(2);
/// A node that was stopped a moment ago still counts as there for as long as its runs wait for it.
constexpr Duration join_conflict_patience = seconds(30);
constexpr Duration renew_retry = minutes(1);
/// The wall clock may be set while we sleep.
constexpr Duration renew_check = hours(1);

std::string path_in(const std::string& directory) { return directory + "/enrolment.json"; }

Async<wire::Enrolment> ask(ServerApi& server, Signer signer, std::string target, std::string body) {
  std::string answer =
      co_await server.post_json(std::move(signer), std::move(target), std::move(body), request_timeout);
  co_return value_or_throw(wire::parse_enrolment(answer));
}

}  // namespace

std::optional<wire::Enrolment> read_enrolment(const std::string& directory) {
  std::string text;
  try {
    text = read_text_file(path_in(directory), enrolment_bytes_max);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    return std::nullopt;
  }
  auto enrolment = wire::parse_enrolment(text);
  if (enrolment) return std::move(enrolment).assume_value();
  throw Error(ErrorCode::invalid_input,
              fmt::format("{} is damaged: {}", path_in(directory), enrolment.error().message()),
              "remove it, and join again with a new token: gantry node token");
}

void write_enrolment(const std::string& directory, const wire::Enrolment& enrolment) {
  write_private_file(path_in(directory), wire::to_json(enrolment) + "\n");
}

Async<wire::Enrolment> join(ServerApi& server, wire::JoinRequest request) {
  std::string body = wire::to_json(request);
  Env& env = server.env();
  Duration begin = env.uptime();
  bool told = false;
  for (;;) {
    std::optional<Error> failure;
    try {
      co_return co_await ask(server, nullptr, "/v1/join", body);
    } catch (const Error& error) {
      failure = error;
    }
    bool may_pass = failure->code() == ErrorCode::conflict && env.uptime() - begin < join_conflict_patience;
    if (!may_retry(*failure) && !may_pass) throw failure->in("join");
    if (!std::exchange(told, true)) log_warning("join: {} ({}); trying again", failure->message(), failure->hint());
    co_await env.sleep(join_retry);
  }
}

Async<> keep_enrolled(ServerApi& server, std::string directory, NodeId node, wire::Enrolment enrolment,
                      std::function<void(const wire::HawkCredentials&)> use) {
  Env& env = server.env();
  std::string target = fmt::format("/v1/nodes/{}/renew", node.to_string());
  bool told = false;
  for (;;) {
    Duration left = enrolment.renew_at() - server.now();
    if (left > Duration(0)) {
      co_await env.sleep(std::min(left, renew_check));
      continue;
    }
    std::optional<Error> failure;
    try {
      auto signer = std::make_shared<const wire::HawkSigner>(enrolment.credentials);
      wire::Enrolment fresh = co_await ask(server, signer, target, "{}");
      co_await env.blocking([directory, fresh] { write_enrolment(directory, fresh); });
      enrolment = std::move(fresh);
      use(enrolment.credentials);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) {
      told = false;
      continue;
    }
    if (!std::exchange(told, true)) {
      log_error("the node's credentials cannot be renewed; they expire in {}: {} ({})",
                format_duration(enrolment.expires - env.now()), failure->message(), failure->hint());
    }
    co_await env.sleep(renew_retry);
  }
}

}  // namespace gantry::agent
