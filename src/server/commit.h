// The commit path (design 3.2): decisions are staged in the state at once and made durable in groups. What is staged
// while one write is in flight goes into the next.
//
//   auto tx = commits.begin();
//   auto result = queue::create(tx, ...);           // read what the answer needs out of it now
//   auto version = commits.stage(tx, result.has_value());
//   co_await commits.settled(version);              // throws Error(unavailable) if it could not be made durable
//
// io_context thread only.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "base/env.h"
#include "core/state/transaction.h"
#include "store/store.h"

namespace gantry::server {

class CommitLoop {
 public:
  /// `state` and `store` must outlive it.
  CommitLoop(Env& env, state::State& state);
  ~CommitLoop();

  /// Starts writing to `store`. Everything in the state is durable at this moment.
  void attach(store::Store& store);

  state::Transaction begin() { return state::Transaction(state_, env_.now()); }

  /// Takes what the transaction did (or undoes it, if not `keep`) and returns the version that an answer must wait for.
  std::uint64_t stage(state::Transaction& tx, bool keep = true);

  /// After a failed write: tries an empty one, so that trouble() does not outlast the trouble where nobody writes.
  void probe();

  /// Until everything up to `version` is durable. Throws Error(unavailable) if it failed and was undone.
  Async<> settled(std::uint64_t version);
  bool is_settled(std::uint64_t version) const { return version <= durable_; }

  std::uint64_t durable() const { return durable_; }
  const state::State& state() const { return state_; }

  /// Called when a decision is kept, before it becomes writes: may add rows that belong to it.
  void before_stage(std::function<void(state::Transaction&)> listener) { before_stage_.push_back(std::move(listener)); }
  /// Called for each change in order, once it is durable.
  void on_change(std::function<void(const state::Change&)> listener) { listeners_.push_back(std::move(listener)); }
  /// Called after each group, for upkeep.
  void on_group(std::function<void()> listener) { group_listeners_.push_back(std::move(listener)); }
  /// Called after commits were undone: what somebody waits for may be there again.
  void on_undone(std::function<void()> listener) { undone_ = std::move(listener); }
  /// Called once when the outcome of a write is unknown: nothing is staged or written any more, every wait fails, until
  /// attach().
  void on_lost(std::function<void(std::string)> listener) { lost_ = std::move(listener); }

  struct Metrics {
    std::uint64_t commits = 0;
    std::uint64_t groups = 0;
    std::uint64_t rows = 0;
    std::uint64_t failed_groups = 0;
  };
  const Metrics& metrics() const { return metrics_; }
  /// Why the last write failed; empty if it did not.
  const std::string& trouble() const { return trouble_; }

 private:
  void schedule_flush();
  void flush();
  void written(store::WriteResult result);
  void succeed();
  void fail(const std::string& message);
  void wake(std::uint64_t up_to);
  store::Batch make_batch();

  Env& env_;
  state::State& state_;
  store::Store* store_ = nullptr;
  std::vector<state::Staged> waiting_;    // staged, not yet given to the store
  std::vector<state::Staged> in_flight_;  // given to the store
  std::uint64_t durable_ = 0;
  bool flush_scheduled_ = false;
  bool lost_now_ = false;
  struct Waiter {
    std::uint64_t version;
    Resumer<bool> resume;  // true: durable; false: failed
  };
  std::deque<Waiter> waiters_;  // nearly ordered by version
  std::vector<std::function<void(const state::Change&)>> listeners_;
  std::vector<std::function<void()>> group_listeners_;
  std::vector<std::function<void(state::Transaction&)>> before_stage_;
  std::function<void()> undone_;
  std::function<void(std::string)> lost_;
  std::string trouble_;
  Metrics metrics_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace gantry::server
