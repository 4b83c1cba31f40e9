// Which messages follow from a decision (design 3.8): each transaction leaves one row in the outbox for each task and
// each group that it changed, and the row says all that the messages need. They are spelt out at delivery.
//
// A row: {"v":1,"at":<ms>,"events":[{"kind":"task-running","runId":0},...],"routes":[...],"tags":{...},"status":{...}}.
// Its events have the numbers from its key on. A row about a group alone has "group" in place of routes, tags and
// status.
#pragma once

#include <vector>

#include "core/state/transaction.h"
#include "wire/pulse_messages.h"

namespace gantry::queue {

/// More events of one task in one transaction go into a further row.
inline constexpr std::uint64_t events_per_row_max = 16;

struct EventRow {
  std::uint64_t first = 0;  // number of its first event
  std::uint64_t count = 0;
  state::Value value;
};

/// Adds the rows of the transaction's changes to it, and to `rows`. Call it once, when the decision is complete.
/// Artifacts of storage s3 make no event; those of storage object only once they are present.
void add_event_rows(state::Transaction& tx, std::vector<EventRow>& rows);

/// The messages of a row. Error `corrupt`: it is not what was written.
Result<std::vector<wire::PulseMessage>> messages_of(std::uint64_t first, std::string_view row);

}  // namespace gantry::queue
