#include "store/memory/memory_store.h"

namespace gantry::store {

std::size_t MemoryStore::Disk::rows() const {
  std::size_t sum = 0;
  for (const auto& table : tables_) sum += table.size();
  return sum;
}

void MemoryStore::Disk::apply(const Batch& batch) {
  for (const auto& write : batch.writes) {
    auto& table = tables_[static_cast<std::size_t>(write.table)];
    if (write.through) {
      table.erase(table.begin(), table.upper_bound(write.key));
    } else if (write.value) {
      table.insert_or_assign(write.key, write.value);
    } else {
      table.erase(write.key);
    }
  }
}

MemoryStore::MemoryStore(std::shared_ptr<Disk> disk, Schedule schedule)
    : disk_(std::move(disk)), schedule_(std::move(schedule)) {
  if (disk_->in_use_)
    throw Error(ErrorCode::conflict, "another store uses this disk", "crash or destroy that one first");
  disk_->in_use_ = true;
}

MemoryStore::~MemoryStore() { crash(false); }

void MemoryStore::write(Batch batch, std::move_only_function<void(WriteResult)> done) {
  if (!disk_) return;
  GANTRY_ASSERT(!in_flight_);
  in_flight_ = std::make_shared<InFlight>(std::move(batch), std::move(done));
  // The store may be gone, or crashed, when the schedule comes to it: then the batch is gone too.
  schedule_([this, waiting = std::weak_ptr<InFlight>(in_flight_)] {
    if (!waiting.expired()) complete();
  });
}

void MemoryStore::complete() {
  auto finished = std::exchange(in_flight_, nullptr);
  auto result = finish(finished->batch);
  finished->done(std::move(result));
}

WriteResult MemoryStore::finish(const Batch& batch) {
  if (stopped_) return {Outcome::failed, "writing has stopped since a commit failed: open the disk again"};
  auto fault = std::exchange(fault_, std::nullopt);
  auto outcome = fault ? fault->outcome : Outcome::durable;
  switch (outcome) {
    case Outcome::durable: disk_->apply(batch); return {};
    case Outcome::failed: return {outcome, "no space left on the disk: free some, and writing goes on"};
    case Outcome::unknown:
      if (fault->survives) disk_->apply(batch);
      stopped_ = true;
      return {outcome, "the last batch may or may not be there after a restart: open the disk again"};
  }
  return {};
}

const std::map<state::Key, state::Value>& MemoryStore::table(state::TableId table) const {
  if (!disk_) throw Error(ErrorCode::unavailable, "this store has crashed", "open a new one on its disk");
  return disk_->tables_[static_cast<std::size_t>(table)];
}

state::Value MemoryStore::read(state::TableId id, const state::Key& key) {
  const auto& rows = table(id);
  auto found = rows.find(key);
  return found == rows.end() ? nullptr : found->second;
}

std::vector<Entry> MemoryStore::scan(state::TableId id, const state::Key* after, std::size_t limit) {
  const auto& rows = table(id);
  std::vector<Entry> entries;
  for (auto row = after ? rows.upper_bound(*after) : rows.begin(); row != rows.end() && entries.size() < limit; ++row) {
    entries.push_back({row->first, *row->second});
  }
  return entries;
}

void MemoryStore::crash(bool in_flight_survives) {
  if (!disk_) return;
  auto lost = std::exchange(in_flight_, nullptr);
  if (lost && in_flight_survives) disk_->apply(lost->batch);
  disk_->in_use_ = false;
  disk_ = nullptr;
}

void MemoryStore::fail_next(Outcome outcome, bool survives) { fault_ = Fault{outcome, survives}; }

}  // namespace gantry::store
