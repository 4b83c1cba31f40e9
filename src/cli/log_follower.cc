#include "cli/log_follower.h"

#include <fmt/format.h>

#include "cli/output.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

constexpr Duration retry_pause = milliseconds(500);
/// A log that says nothing for so long is asked for again: the connection may be dead without having been closed.
constexpr Duration silence_max = minutes(1);

bool is_ended(const json::value& task, int run) {
  for (const json::value& entry : array_at(task, "runs")) {
    if (number_at(entry, "runId") != run) continue;
    std::string_view state = text_at(entry, "state");
    return state != "pending" && state != "running";
  }
  return false;
}

/// One connection; true once the log was read to the end of what the server has.
Async<bool> read_once(std::shared_ptr<Client> client, std::string task, int run, std::shared_ptr<std::int64_t> offset,
                      std::shared_ptr<Patience> patience, std::function<void(std::string)> sink) {
  net::OpenResponse response = co_await client->open(log_target(task, run, *offset), silence_max);
  patience->over();
  for (;;) {
    std::string piece = co_await response.body->read_some();
    if (piece.empty()) co_return true;
    *offset += static_cast<std::int64_t>(piece.size());
    sink(std::move(piece));
  }
}

}  // namespace

std::string log_target(const std::string& task, int run, std::int64_t offset) {
  return fmt::format("/v1/tasks/{}/runs/{}/log?offset={}", task, run, offset);
}

Async<> Patience::after(Error error) {
  if (error.code() == ErrorCode::deadline_exceeded) co_return;  // silence only
  bool may_pass = error.code() == ErrorCode::unavailable;
  Duration patience = hurried_ ? server_patience_hurried : server_patience;
  if (may_pass && !waiting_) {
    waiting_ = true;
    since_ = env_.uptime();
    say(fmt::format("gantry: {}; trying again for {}", error.message(), format_duration(patience)));
  }
  if (!may_pass || env_.uptime() - since_ > patience) throw error;
  co_await env_.sleep(retry_pause);
}

void Patience::hurry() {
  hurried_ = true;
  since_ = env_.uptime();
}

void Patience::over() {
  if (waiting_) say("gantry: the server is back");
  waiting_ = false;
}

Async<> follow_log(std::shared_ptr<Client> client, std::string task, int run, std::shared_ptr<Patience> patience,
                   std::function<void(std::string)> sink) {
  auto offset = std::make_shared<std::int64_t>(0);
  for (;;) {
    std::optional<Error> failure;
    bool ended = false;
    try {
      co_await read_once(client, task, run, offset, patience, sink);
      // A server that stops ends its answers too: the end counts only if the run has ended.
      ended = is_ended(co_await client->get("/v1/tasks/" + task), run);
    } catch (const Error& error) {
      failure = error;
    }
    if (ended || (failure && failure->code() == ErrorCode::not_found)) co_return;
    if (failure) {
      co_await patience->after(*failure);
    } else {
      co_await client->env().sleep(retry_pause);
    }
  }
}

}  // namespace gantry::cli
