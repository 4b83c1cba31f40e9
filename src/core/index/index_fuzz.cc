// Index paths from arbitrary text: what is accepted keeps its bounds, each of its namespaces is a path, and its key in
// the store leads back to it. A route may name any text.
#include <cstddef>
#include <cstdint>

#include "core/index/index.h"

namespace gantry::index {
namespace {

void try_path(const std::string& path) {
  if (!is_path(path)) return;
  GANTRY_ASSERT(path.size() <= path_bytes_max);
  std::vector<std::string> spaces = namespaces_of(path);
  GANTRY_ASSERT(spaces.size() < path_names_max);
  std::size_t before = 0;
  for (const std::string& space : spaces) {
    GANTRY_ASSERT(is_path(space) && path.starts_with(space + ".") && space.size() > before);
    before = space.size();
  }
  std::string key = state::index_key_of(path);
  GANTRY_ASSERT(state::index_path_of(key) == path);
  GANTRY_ASSERT(key.starts_with((spaces.empty() ? "" : spaces.back()) + "/"));
}

/// What was put in is found, with all of its namespaces.
void try_insert(const std::string& path) {
  if (!is_path(path)) return;
  state::State state;
  state::Transaction tx(state, time_from_ms(1'795'132'800'000));
  Entry entry{path, *TaskId::parse("fN1SbArXTPSVFNUvaOlinQ"), 1, "{}", tx.now() + days(1)};
  GANTRY_ASSERT(insert(tx, entry)->task == entry.task);
  auto found = find(tx, path);
  GANTRY_ASSERT(found && found.value()->path == path);
  for (const std::string& space : namespaces_of(path)) GANTRY_ASSERT(tx.find<state::IndexNamespace>(space));
  remove(tx, path);
  GANTRY_ASSERT(!find(tx, path));
  tx.take();
}

}  // namespace
}  // namespace gantry::index

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  gantry::index::try_path(text);
  gantry::index::try_insert(text);
  gantry::index::namespaces_of(text);
  return 0;
}
