#include "server/commit.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "base/planted.h"

namespace gantry::server {
namespace {

constexpr std::size_t group_bytes_max = 8u << 20;  // more waits for the next group

state::Write clock_write(const state::State& state) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", 1).field("commit", state.last_commit()).field("sequence", state.last_sequence());
  out.field("event", state.last_event()).field("time", to_ms(state.last_time())).end_object();
  return {state::TableId::meta, {0, "clock"}, std::make_shared<const std::string>(std::move(bytes))};
}

}  // namespace

CommitLoop::CommitLoop(Env& env, state::State& state) : env_(env), state_(state) {}

CommitLoop::~CommitLoop() { *alive_ = false; }

void CommitLoop::attach(store::Store& store) {
  GANTRY_ASSERT(waiting_.empty() && in_flight_.empty());
  store_ = &store;
  durable_ = state_.last_commit();
  lost_now_ = false;
  trouble_.clear();
}

std::uint64_t CommitLoop::stage(state::Transaction& tx, bool keep) {
  if (!keep || lost_now_) return tx.abandon();  // lost: settled() refuses whatever the decision was
  if (!tx.changes().empty()) {
    for (const auto& listener : before_stage_) listener(tx);
  }
  state::Staged staged = tx.take();
  std::uint64_t version = staged.read_version;
  if (!staged.sequence) return version;
  waiting_.push_back(std::move(staged));
  schedule_flush();
  return version;
}

void CommitLoop::probe() {
  if (trouble_.empty() || lost_now_ || !waiting_.empty() || !in_flight_.empty()) return;
  state::Staged nothing;
  nothing.sequence = state_.last_commit();
  waiting_.push_back(std::move(nothing));
  schedule_flush();
}

void CommitLoop::schedule_flush() {
  if (flush_scheduled_ || !in_flight_.empty() || waiting_.empty() || lost_now_ || !store_) return;
  flush_scheduled_ = true;
  asio::post(env_.executor(), [this, alive = alive_] {
    if (*alive) flush();
  });
}

store::Batch CommitLoop::make_batch() {
  store::Batch batch;
  std::size_t bytes = 0;
  std::size_t taken = 0;
  while (taken < waiting_.size() && bytes < group_bytes_max) {
    for (state::Write& write : waiting_[taken].writes) {
      bytes += write.key.name.size() + (write.value ? write.value->size() : 0);
      batch.writes.push_back(std::move(write));
    }
    ++taken;
  }
  auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(taken);
  in_flight_.assign(std::move_iterator(waiting_.begin()), std::move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  return batch;
}

void CommitLoop::flush() {
  flush_scheduled_ = false;
  if (!in_flight_.empty() || waiting_.empty() || lost_now_) return;
  store::Batch batch = make_batch();
  batch.writes.push_back(clock_write(state_));
  metrics_.rows += batch.writes.size();
  auto done = [this, alive = alive_, where = env_.executor()](store::WriteResult result) {
    asio::post(where, [this, alive, result = std::move(result)]() mutable {
      if (*alive) written(std::move(result));
    });
  };
  if (planted(PlantedBug::torn_batch) && batch.writes.size() > 2) {
    store::Batch half;
    auto middle = batch.writes.begin() + static_cast<std::ptrdiff_t>(batch.writes.size() / 2);
    half.writes.assign(batch.writes.begin(), middle);
    batch.writes.erase(batch.writes.begin(), middle);
    store_->write(std::move(half), [this, rest = std::move(batch), done](store::WriteResult) mutable {
      store_->write(std::move(rest), done);
    });
    return;
  }
  store_->write(std::move(batch), std::move(done));
}

void CommitLoop::written(store::WriteResult result) {
  if (result.outcome == store::Outcome::durable) {
    succeed();
    schedule_flush();
    return;
  }
  metrics_.failed_groups += 1;
  if (trouble_.empty()) log_warning("cannot write: {}", result.message);
  fail(result.message);
  if (result.outcome == store::Outcome::unknown) {
    lost_now_ = true;
    if (lost_) lost_(result.message);
  }
}

void CommitLoop::succeed() {
  if (!trouble_.empty()) log_info("writing works again");
  trouble_.clear();
  std::vector<state::Staged> group = std::move(in_flight_);
  in_flight_.clear();
  durable_ = group.back().sequence;
  metrics_.groups += 1;
  metrics_.commits += group.size();
  wake(durable_);
  for (const state::Staged& staged : group) {
    for (const state::Change& change : staged.changes) {
      for (const auto& listener : listeners_) listener(change);
    }
  }
  for (const auto& listener : group_listeners_) listener();
}

void CommitLoop::fail(const std::string& message) {
  trouble_ = message.empty() ? "the store refused a write" : message;
  std::vector<state::Staged> undone = std::move(in_flight_);
  in_flight_.clear();
  std::move(waiting_.begin(), waiting_.end(), std::back_inserter(undone));
  waiting_.clear();
  for (auto staged = undone.rbegin(); staged != undone.rend() && !planted(PlantedBug::failed_commit_kept); ++staged) {
    state::Transaction::undo(state_, std::move(staged->undo));
  }
  std::uint64_t settled = durable_;
  if (!undone.empty()) durable_ = undone.back().sequence;
  for (Waiter& waiter : std::exchange(waiters_, {})) waiter.resume(waiter.version <= settled);
  bool changed_back = std::ranges::any_of(undone, [](const state::Staged& staged) { return !staged.writes.empty(); });
  if (changed_back && undone_) undone_();
  for (const auto& listener : group_listeners_) listener();
}

void CommitLoop::wake(std::uint64_t up_to) {
  while (!waiters_.empty() && waiters_.front().version <= up_to) {
    waiters_.front().resume(true);
    waiters_.pop_front();
  }
  // A reader may wait for an older version than the one before it in line; it goes with that one, or earlier here.
  if (waiters_.size() > 64) return;
  std::erase_if(waiters_, [&](Waiter& waiter) {
    if (waiter.version > up_to) return false;
    waiter.resume(true);
    return true;
  });
}

Async<> CommitLoop::settled(std::uint64_t version) {
  version = std::min(version, state_.last_commit());  // a table may remember a commit that was abandoned
  if (lost_now_) throw Error(ErrorCode::unavailable, trouble_, "try again in a moment");
  if (version <= durable_ || planted(PlantedBug::answer_before_durable)) co_return;
  bool durable = co_await suspend<bool>(
      [this, version](Resumer<bool> resume) { waiters_.push_back({version, std::move(resume)}); });
  if (!durable)
    throw Error(
        ErrorCode::unavailable,
        std::string(lost_now_ ? "it is not known whether it was written: " : "nothing was changed: ") + trouble_,
        "try again in a moment");
}

}  // namespace gantry::server
