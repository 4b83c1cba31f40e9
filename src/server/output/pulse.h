// Pulse: every event as a message in RabbitMQ, on the exchanges of Taskcluster's queue (taskcluster.md 2.11), at least
// once and in order. It follows the outbox from a stored cursor that moves when the broker has confirmed, so a broker
// that is down, slow or blocked loses nothing; what is on its way there is bounded, so it slows nothing either.
//
// A thread of its own talks to the broker (server/output/amqp_link.h). The rest belongs to the io_context thread.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "server/output/amqp_link.h"
#include "server/output/outbox.h"

namespace gantry::server {

class Pulse {
 public:
  /// `commits` and `outbox` must outlive it. stop() must have ended before it is destroyed, if start() was called.
  Pulse(Env& env, CommitLoop& commits, Outbox& outbox, net::AmqpUrl url);
  ~Pulse();
  Pulse(const Pulse&) = delete;
  Pulse& operator=(const Pulse&) = delete;

  /// Reads the cursor, or, the first time, sets it to the newest event; then starts.
  void start(std::shared_ptr<store::Store> store);
  /// Writes the cursor a last time (the commit loop still runs then) and ends the thread.
  Async<> stop();

  struct Numbers {
    bool connected = false;
    std::uint64_t published = 0;  // messages that the broker has confirmed
    std::uint64_t lost = 0;       // events that were trimmed away before they were sent
    double lag_seconds = 0;       // age of the oldest event that is not confirmed
  };
  Numbers numbers() const;

 private:
  class Sender;
  Async<> feed();
  Async<> feed_page();
  Async<> save_cursor();
  state::Value cursor_value() const;
  std::uint64_t stage_cursor();
  void confirmed(std::uint64_t number, std::uint64_t messages);

  Env& env_;
  CommitLoop& commits_;
  Outbox& outbox_;
  std::shared_ptr<Sender> sender_;
  Scope scope_;
  Event room_;
  bool started_ = false;
  std::uint64_t fed_ = 0;     // handed to the sender
  std::uint64_t cursor_ = 0;  // confirmed
  std::uint64_t saved_ = 0;
  std::uint64_t published_ = 0;
  std::uint64_t lost_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace gantry::server
