// Every kind of record that the state holds. A new kind is added here, with its codec, and to the loading at start
// (server/load.cc) unless it is cold.
#pragma once

#include <concepts>
#include <optional>
#include <tuple>
#include <variant>
#include <vector>

#include "core/state/access_records.h"
#include "core/state/join_records.h"
#include "core/state/neighbour_records.h"
#include "core/state/records.h"
#include "core/state/table.h"

namespace gantry::state {

/// A record that is one row of one table, under a key that follows from its id alone.
template <class Record>
concept PlainRecord = requires(const typename Record::Id& id) {
  { Record::table_id } -> std::convertible_to<TableId>;
  { Record::store_key(id) } -> std::same_as<Key>;
};

/// A plain record that is in memory only while somebody needs it; the server loads it first (server/cold.h).
template <class Record>
concept ColdRecord = PlainRecord<Record> && Record::cold;

template <class Record>
struct BeforeImage {
  typename Record::Id id;
  std::optional<Row<Record>> row;  // none: it was not there
};

template <class... Records>
struct RecordList {
  using Tables = std::tuple<Table<Records>...>;
  using Images = std::variant<BeforeImage<Records>...>;
  /// Calls visit.operator()<Record>() for each kind.
  template <class Visit>
  static void for_each(Visit visit) {
    (visit.template operator()<Records>(), ...);
  }
};

using AllRecords = RecordList<Task, Artifact, Allocation, Node, Group, Work, Client, Role, Secret, Worker, TaskQueue,
                              IndexedTask, IndexNamespace, StoredObject, PurgeRequest, JoinToken, RemovedNode>;

}  // namespace gantry::state
