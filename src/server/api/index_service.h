// The index over HTTP, and what keeps it: tasks that completed get in, entries that expired get out.
//
// io_context thread only.
#pragma once

#include <optional>
#include <vector>

#include "core/index/index.h"
#include "server/services.h"
#include "store/store.h"

namespace gantry::server {

/// Afterwards what inserting an entry at this path needs is in memory, as far as it exists: all of it at once, although
/// what is loaded first may be forgotten while the rest is loaded.
Async<> load_for_insert(Services& services, std::string path);

/// Puts completed tasks into the index (core/index/intent.h). Their wishes are read from the store, so what a crash
/// left is found at the next start.
class Indexer {
 public:
  explicit Indexer(Services& services) : services_(services) {}

  /// For each change, once it is durable.
  void on_change(const state::Change& change);
  /// There may be wishes that no change has told of: after a start.
  void wake();
  /// Works until it is cancelled.
  Async<> run();

 private:
  /// Handles a page of wishes; false if there was none.
  Async<bool> step();
  Async<> handle(std::uint64_t sequence, TaskId task);
  /// Inserts all entries, and with the last of them erases the wish.
  Async<> insert_all(std::uint64_t sequence, std::vector<index::Entry> entries);

  Services& services_;
  Event news_;
  bool has_news_ = true;
};

/// A slow walk over a cold table. Kept by its owner between steps; a restart begins anew.
struct SweepCursor {
  std::optional<state::Key> after;
};

/// Looks at the next rows of the index and removes what has expired. True if the whole index has been seen: the next
/// call begins anew.
Async<bool> sweep_index(Services& services, SweepCursor& tasks, SweepCursor& namespaces);

}  // namespace gantry::server
