// The log of what happened, for other systems (design 3.8): written with the decisions themselves, read by every output
// and by event streams from wherever each stands, and trimmed by age and size alone, whoever has read it or not.
//
// The newest rows are in memory, as soon as they are durable; older ones are read from the store. io_context thread
// only.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/env.h"
#include "core/queue/events.h"
#include "server/commit.h"

namespace gantry::server {

struct OutboxLimits {
  std::int64_t bytes_max = std::int64_t{10} << 30;
  Duration age_max = days(7);
};
/// Where only event streams read it.
inline constexpr OutboxLimits outbox_limits_without_outputs{100 << 20, days(1)};

class OutboxRow {
 public:
  OutboxRow(queue::EventRow row) : row_(std::move(row)) {}

  std::uint64_t first() const { return row_.first; }
  std::uint64_t last() const { return row_.first + row_.count - 1; }
  const state::Value& value() const { return row_.value; }
  /// Spelt out when first asked for, and kept. Throws Error(corrupt).
  const std::vector<wire::PulseMessage>& messages() const;
  /// What it takes in memory, about.
  std::size_t bytes() const;

 private:
  queue::EventRow row_;
  mutable std::optional<std::vector<wire::PulseMessage>> messages_;
};

class Outbox {
 public:
  /// `commits` must outlive it.
  Outbox(Env& env, CommitLoop& commits, OutboxLimits limits);
  ~Outbox();

  /// Everything in the state is durable at this moment. Null while the state is being read again.
  void attach(std::shared_ptr<store::Store> store);

  // What the commit loop calls.

  void before_stage(state::Transaction& tx);
  void on_group();
  void on_undone() { staged_.clear(); }

  struct Lost {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  struct Page {
    std::optional<Lost> lost;  // they come before the rows
    std::vector<std::shared_ptr<const OutboxRow>> rows;
    std::uint64_t next = 0;  // read on after this number
  };
  /// Rows with events after number `after`, durable ones only; none if there are none yet. A row may begin with events
  /// up to `after`. If all of it is in memory, it does not suspend. Throws what the store throws.
  Async<Page> read(std::uint64_t after);
  /// Notified when there is more to read.
  Event& news() { return news_; }

  /// The number of the newest durable event.
  std::uint64_t newest() const { return newest_; }
  /// Up to this number events have been trimmed away.
  std::uint64_t floor() const { return floor_; }
  std::int64_t bytes() const;

  /// Takes away what is too old or too much; in steps, each a commit. Throws what settled() throws.
  Async<> trim();
  /// Trims now and then, until it is cancelled.
  Async<> keep_trimmed();

 private:
  /// A stretch of the log, for trimming: its end is where the next one begins.
  struct Segment {
    std::uint64_t first;
    Time begun;
    std::int64_t bytes;
  };
  struct StagedRow {
    std::uint64_t version;
    queue::EventRow row;
  };

  void account(state::Transaction& tx, const std::vector<queue::EventRow>& rows);
  state::Value accounting() const;
  void trim_memory();
  void announce();
  /// The first row of the ring with an event after `after`.
  std::size_t position(std::uint64_t after) const;
  /// Rows of the store from `after` on; `next` may run ahead of them past a gap.
  Async<Page> read_stored(std::uint64_t after);
  std::uint64_t end_of(std::size_t segment) const;
  /// The number up to which the bounds want it trimmed.
  std::uint64_t trim_target() const;
  void forget_through(std::uint64_t number);

  Env& env_;
  CommitLoop& commits_;
  OutboxLimits limits_;
  std::shared_ptr<store::Store> store_;
  std::deque<StagedRow> staged_;                       // not durable yet
  std::deque<std::shared_ptr<const OutboxRow>> ring_;  // every durable row after ring_floor_
  std::size_t ring_bytes_ = 0;                         // of values
  std::uint64_t ring_floor_ = 0;
  std::uint64_t newest_ = 0;
  std::uint64_t floor_ = 0;
  std::uint64_t erased_ = 0;  // up to here the store has no rows any more
  std::deque<Segment> segments_;
  std::int64_t unaccounted_bytes_ = 0;
  std::vector<queue::EventRow> made_;  // of the transaction at hand; kept for its memory
  Event news_;
  TimerId news_timer_ = 0;
  bool news_planned_ = false;
};

}  // namespace gantry::server
