#include "core/index/index.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace gantry::index {
namespace {

using state::IndexedTask;
using state::IndexNamespace;

bool is_name_character(char c) {
  bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return letter || std::string_view("_!~*'()%-").find(c) != std::string_view::npos;
}

/// The end of the day, so that a namespace is not rewritten with each of its entries.
Time rounded_up(Time expires) {
  Time next = std::chrono::floor<days>(expires) + days(1);
  return std::min(next, time_max);
}

void keep_namespaces(state::Transaction& tx, const Entry& entry) {
  Time expires = rounded_up(entry.expires);
  for (const std::string& path : namespaces_of(entry.path)) {
    const IndexNamespace* found = tx.find<IndexNamespace>(path);
    if (!found) {
      tx.insert(IndexNamespace{path, expires});
    } else if (found->expires < expires) {
      tx.update<IndexNamespace>(path, [&](IndexNamespace& space) { space.expires = expires; });
    }
  }
}

}  // namespace

bool is_path(std::string_view path) {
  if (path.empty() || path.size() > path_bytes_max) return false;
  std::size_t names = 1;
  char before = '.';
  for (char c : path) {
    if (c == '.' && before == '.') return false;
    if (c != '.' && !is_name_character(c)) return false;
    if (c == '.') ++names;
    before = c;
  }
  return before != '.' && names <= path_names_max;
}

std::vector<std::string> namespaces_of(std::string_view path) {
  std::vector<std::string> spaces;
  for (std::size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.', dot + 1)) {
    spaces.emplace_back(path.substr(0, dot));
  }
  return spaces;
}

const IndexedTask* insert(state::Transaction& tx, const Entry& entry) {
  const IndexedTask* found = tx.find<IndexedTask>(entry.path);
  bool better = found && found->rank > entry.rank && found->expires > tx.now();
  if (better) return found;
  if (!found) {
    tx.insert(IndexedTask{entry.path, entry.task, entry.rank, entry.data, entry.expires});
  } else {
    tx.update<IndexedTask>(entry.path, [&](IndexedTask& indexed) {
      indexed.task = entry.task;
      indexed.rank = entry.rank;
      indexed.data = entry.data;
      indexed.expires = entry.expires;
    });
  }
  keep_namespaces(tx, entry);
  return tx.find<IndexedTask>(entry.path);
}

Result<const IndexedTask*> find(state::Transaction& tx, const std::string& path) {
  const IndexedTask* found = tx.find<IndexedTask>(path);
  if (!found || found->expires <= tx.now()) {
    return Error(ErrorCode::not_found, fmt::format("no task is indexed at \"{}\"", shorten(path, 300)));
  }
  return found;
}

void remove(state::Transaction& tx, const std::string& path) { tx.erase<IndexedTask>(path); }

bool expire_task(state::Transaction& tx, const std::string& path) {
  const IndexedTask* found = tx.find<IndexedTask>(path);
  if (!found || found->expires > tx.now()) return false;
  tx.erase<IndexedTask>(path);
  return true;
}

bool expire_namespace(state::Transaction& tx, const std::string& path) {
  const IndexNamespace* found = tx.find<IndexNamespace>(path);
  if (!found || found->expires > tx.now()) return false;
  tx.erase<IndexNamespace>(path);
  return true;
}

}  // namespace gantry::index
