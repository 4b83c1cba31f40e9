// The index: which task is found at a path of names joined by dots (taskcluster.md 2.10). A path keeps the task of the
// highest rank; of equal ranks, the newer one.
//
// What a call touches must be in memory if it exists: the entry itself, and the namespaces that namespaces_of() names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::index {

inline constexpr std::size_t path_bytes_max = 255;
/// So that an entry and all of its namespaces fit into one transaction.
inline constexpr std::size_t path_names_max = 64;
inline constexpr std::size_t data_bytes_max = 32 * 1024;

/// Names of [a-zA-Z0-9_!~*'()%-] joined by dots, within the bounds above.
bool is_path(std::string_view path);
/// "a.b.c" -> "a", "a.b".
std::vector<std::string> namespaces_of(std::string_view path);

struct Entry {
  std::string path;  // is_path
  TaskId task;
  double rank = 0;
  std::string data = "{}";  // canonical JSON object, at most data_bytes_max
  Time expires;
};

/// Puts the entry in unless one of a higher rank is there that has not expired. Returns what is there now. At most
/// path_names_max records.
const state::IndexedTask* insert(state::Transaction& tx, const Entry& entry);

/// Error: not_found, also if it has expired.
Result<const state::IndexedTask*> find(state::Transaction& tx, const std::string& path);

/// Does nothing if there is none.
void remove(state::Transaction& tx, const std::string& path);

/// Removes the entry if it has expired; true if it did.
bool expire_task(state::Transaction& tx, const std::string& path);
/// Removes the namespace if it has expired: nothing below it can still be found. True if it did.
bool expire_namespace(state::Transaction& tx, const std::string& path);

}  // namespace gantry::index
