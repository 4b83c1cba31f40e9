#include "server/output/event_stream.h"

#include <algorithm>

#include <fmt/format.h>

#include "server/output/limits.h"

namespace gantry::server {
namespace {

constexpr std::string_view greeting = "retry: 1000\n\n";

template <class Value>
bool is_one_of(const std::vector<Value>& wanted, const Value& value) {
  return wanted.empty() || std::ranges::find(wanted, value) != wanted.end();
}

void append_event(std::string& out, const wire::PulseMessage& message) {
  out += fmt::format("id: {}\nevent: {}\ndata: ", message.number, name_of(message.kind));
  out += wire::event_json(message);
  out += "\n\n";
}

}  // namespace

bool EventFilter::fits(const wire::PulseMessage& message) const {
  return is_one_of(kinds, message.kind) && is_one_of(tasks, message.task) && is_one_of(groups, message.group) &&
         is_one_of(queues, message.task_queue);
}

EventStream::EventStream(Services& services, EventFilter filter, std::uint64_t after, std::optional<Time> until,
                         bool follow)
    : services_(services), filter_(std::move(filter)), after_(after), until_(until), follow_(follow) {}

std::string EventStream::alive() {
  // An event without data is not dispatched, but its id is remembered: a reader whose filter fits little comes again
  // from here.
  return fmt::format(": nothing new\nid: {}\n\n", after_);
}

std::string EventStream::take(const Outbox::Page& page) {
  std::string piece;
  if (page.lost) append_event(piece, wire::events_lost_message(page.lost->first, page.lost->last, services_.env.now()));
  std::uint64_t seen = std::max(after_, page.lost ? page.lost->last : 0);
  for (const auto& row : page.rows) {
    for (const wire::PulseMessage& message : row->messages()) {
      if (message.number <= seen) continue;
      if (piece.size() >= event_piece_bytes) {
        after_ = seen;
        return piece;
      }
      if (filter_.fits(message)) append_event(piece, message);
      seen = message.number;
    }
  }
  after_ = std::max(seen, page.next);
  return piece;
}

Async<std::string> EventStream::read_some() {
  Env& env = services_.env;
  if (!greeted_) {
    greeted_ = true;
    last_said_ = env.uptime();
    co_return std::string(greeting);
  }
  for (;;) {
    if (!services_.may_wait() || (until_ && env.now() >= *until_)) co_return std::string();
    Outbox::Page page = co_await services_.outbox->read(after_);
    bool at_end = page.rows.empty() && !page.lost;
    std::string piece = take(page);
    Duration silent = env.uptime() - last_said_;
    if (piece.empty() && silent >= event_heartbeat) piece = alive();
    if (!piece.empty()) {
      last_said_ = env.uptime();
      co_return piece;
    }
    if (at_end) {
      if (!follow_) co_return std::string();
      co_await services_.outbox->news().wait_for(env, event_heartbeat - silent);
    } else {
      co_await yield_now();
    }
  }
}

}  // namespace gantry::server
