#include "core/state/transaction.h"

#include "core/state/codec.h"

namespace gantry::state {
namespace {

constexpr std::size_t writes_per_record = 3;  // the most that one record needs

Value shared(std::string bytes) { return std::make_shared<const std::string>(std::move(bytes)); }

void add_writes(std::vector<Write>& writes, const Task* before, const Task* after) {
  const Task& any = after ? *after : *before;
  auto table_of = [](const Task& task) { return task.resolved() ? TableId::resolved_task : TableId::open_task; };
  if (!before) {
    writes.push_back({TableId::task_id, {any.sequence, {}}, shared(any.id.to_string())});
  }
  if (before && (!after || table_of(*before) != table_of(*after))) {
    writes.push_back({table_of(*before), {any.sequence, {}}, nullptr});
  }
  if (after) {
    writes.push_back({table_of(*after), {any.sequence, {}}, shared(encode(*after))});
  } else {
    writes.push_back({TableId::definition, {any.sequence, {}}, nullptr});
    writes.push_back({TableId::task_id, {any.sequence, {}}, nullptr});
  }
}

void add_writes(std::vector<Write>& writes, const Artifact* before, const Artifact* after) {
  const Artifact& any = after ? *after : *before;
  writes.push_back({TableId::artifact,
                    {any.task_sequence, artifact_key_name(any.id.run, any.id.name)},
                    after ? shared(encode(*after)) : nullptr});
}

void add_writes(std::vector<Write>& writes, const Allocation* before, const Allocation* after) {
  const Allocation& any = after ? *after : *before;
  writes.push_back({TableId::allocation,
                    {any.task_sequence, artifact_key_name(any.id.run, "")},
                    after ? shared(encode(*after)) : nullptr});
}

void add_writes(std::vector<Write>& writes, const Node* before, const Node* after) {
  const Node& any = after ? *after : *before;
  writes.push_back({TableId::node, {0, any.id.to_string()}, after ? shared(encode(*after)) : nullptr});
}

template <PlainRecord Record>
void add_writes(std::vector<Write>& writes, const Record* before, const Record* after) {
  const Record& any = after ? *after : *before;
  writes.push_back({Record::table_id, Record::store_key(any.key()), after ? shared(encode(*after)) : nullptr});
}

}  // namespace

Transaction::Transaction(State& state, Time now)
    : state_(state), now_(std::max(now, state.last_time_)), commit_(state.last_commit_ + 1) {}

Transaction::~Transaction() {
  if (!taken_) undo(state_, std::move(undo_));
}

void Transaction::put_definition(std::uint64_t sequence, Value definition) {
  put_row(TableId::definition, {sequence, {}}, std::move(definition));
}

void Transaction::put_row(TableId table, Key key, Value value) {
  bytes_ += key.name.size() + (value ? value->size() : 0);
  rows_.push_back({table, std::move(key), std::move(value)});
}

void Transaction::erase_rows_through(TableId table, std::uint64_t sequence) {
  rows_.push_back({table, {sequence, {}}, nullptr, true});
}

/// What the records from undo_[first] on are to be written as.
void Transaction::add_writes_since(std::size_t first, std::vector<Write>& writes) const {
  for (std::size_t i = first; i < undo_.size(); ++i) {
    std::visit(
        [&]<class Record>(const BeforeImage<Record>& image) {
          const Row<Record>* row = state_.table<Record>().find(image.id);
          if (!row && !image.row) return;  // inserted and erased again
          add_writes(writes, image.row ? &image.row->record : nullptr, row ? &row->record : nullptr);
        },
        undo_[i]);
  }
}

bool Transaction::has_room(std::size_t operations, std::size_t bytes) {
  if (undo_.empty() && rows_.empty()) return operations <= operations_max;
  std::vector<Write> writes;
  add_writes_since(measured_, writes);
  measured_ = undo_.size();
  for (const Write& write : writes) bytes_ += write.key.name.size() + (write.value ? write.value->size() : 0);
  return undo_.size() + rows_.size() + operations <= operations_max && bytes_ + bytes <= bytes_max;
}

Staged Transaction::take() {
  taken_ = true;
  Staged staged;
  staged.read_version = read_version_;
  if (undo_.empty() && rows_.empty()) return staged;
  state_.last_commit_ = commit_;
  state_.last_time_ = now_;
  staged.sequence = commit_;
  staged.read_version = commit_;
  staged.writes = std::move(rows_);
  staged.writes.reserve(staged.writes.size() + undo_.size() * writes_per_record);
  staged.changes = std::move(changes_);
  add_writes_since(0, staged.writes);
  staged.undo = std::move(undo_);
  return staged;
}

std::uint64_t Transaction::abandon() {
  taken_ = true;
  undo(state_, std::move(undo_));
  return std::min(read_version_, commit_ - 1);
}

void Transaction::undo(State& state, UndoLog log) {
  for (auto entry = log.rbegin(); entry != log.rend(); ++entry) {
    std::visit([&]<class Record>(BeforeImage<Record>& image) { state.set<Record>(image.id, std::move(image.row)); },
               *entry);
  }
}

}  // namespace gantry::state
