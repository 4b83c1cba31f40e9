// Tasks that ask by their routes to be indexed once they have completed. The wish is stored in the transaction that
// completes the task, and erased in the one that puts the last of its entries into the index, so that a crash between
// the two loses nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/index/index.h"
#include "core/state/transaction.h"

namespace gantry::index {

/// What routes begin with that ask for the index.
inline constexpr std::string_view route_prefix = "index.";

/// True if the run of this change completed, and its task asks for the index.
bool asks_for_index(const state::State& state, const state::Change& change);

/// Stores the wish of each task that the transaction completes: a row of table index_intent each, and no record. To be
/// called once, when the decision is made and before it is staged.
void note_completed(state::Transaction& tx);

/// The task that a row of index_intent names. Error: corrupt.
Result<TaskId> decode_intent(std::string_view value);
/// Erases the wish of the task with this sequence.
void erase_intent(state::Transaction& tx, std::uint64_t sequence);

/// The entries that a task asks for: one for each route whose path is valid, with extra.index's rank, data and expires
/// (0, {} and the task's own if it does not say). None if one of them is of a wrong type or too large; `why_none` says
/// so then.
std::vector<Entry> entries_of(TaskId id, std::string_view definition, std::string& why_none);

}  // namespace gantry::index
