// The durable map under the state (design 3.7). A store applies batches of writes in the order they are given, each
// batch whole or not at all; the caller (server/commit) keeps exactly one batch in flight and groups what waits.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/state/write.h"

namespace gantry::store {

struct Batch {
  std::vector<state::Write> writes;
};

struct Entry {
  state::Key key;
  std::string value;
};

/// How a write ended, as far as the store can know.
enum class Outcome {
  durable,
  failed,   // certainly not written (full disk, read-only file): undo it; a later batch may succeed
  unknown,  // may or may not be there after a restart (an fsync failed): step down and read again
};

struct WriteResult {
  Outcome outcome = Outcome::durable;
  std::string message;  // why, if not durable; says what to do
};

class Store {
 public:
  virtual ~Store() = default;

  /// Makes `batch` durable and then calls `done`, on whatever thread. One batch at a time: not before the last `done`.
  virtual void write(Batch batch, std::move_only_function<void(WriteResult)> done) = 0;

  // Reads see what is durable. They block and may be called from any thread, several at a time; they throw Error
  // (corrupt, unavailable).

  /// The value, or nullptr.
  virtual state::Value read(state::TableId table, const state::Key& key) = 0;
  /// Up to `limit` entries with key > `after` (from the first if null), in order. To visit a whole table, call again
  /// with the last key; no read transaction is held between calls.
  virtual std::vector<Entry> scan(state::TableId table, const state::Key* after, std::size_t limit) = 0;
};

}  // namespace gantry::store
