#include "base/shared_text.h"

#include <mutex>

#include <boost/container_hash/hash.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

namespace gantry {

/// Keys are the entries' own texts. Never destroyed: records may outlive any order of destruction.
struct SharedTextPool {
  std::mutex mutex;
  boost::unordered_flat_map<std::string_view, SharedText::Entry*> entries;

  static SharedTextPool& instance() {
    static SharedTextPool& pool = *new SharedTextPool;
    return pool;
  }
};

const std::string& SharedText::nothing() {
  static const std::string empty;
  return empty;
}

SharedText::Entry* SharedText::acquire(std::string_view text) {
  SharedTextPool& pool = SharedTextPool::instance();
  std::lock_guard lock(pool.mutex);
  auto found = pool.entries.find(text);
  if (found != pool.entries.end()) {
    found->second->uses.fetch_add(1, std::memory_order_relaxed);
    return found->second;
  }
  auto* entry = new Entry{std::string(text), 1};
  pool.entries.emplace(entry->text, entry);
  return entry;
}

void SharedText::release(Entry* entry) {
  // All but the last use go without the lock; the last one must not meet an acquire() on its way.
  std::uint32_t uses = entry->uses.load(std::memory_order_relaxed);
  while (uses > 1) {
    if (entry->uses.compare_exchange_weak(uses, uses - 1, std::memory_order_release)) return;
  }
  SharedTextPool& pool = SharedTextPool::instance();
  std::lock_guard lock(pool.mutex);
  if (entry->uses.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  pool.entries.erase(entry->text);
  delete entry;
}

std::size_t shared_texts() {
  SharedTextPool& pool = SharedTextPool::instance();
  std::lock_guard lock(pool.mutex);
  return pool.entries.size();
}

}  // namespace gantry
