#include "core/index/purge.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace gantry::index {
namespace {

using state::PurgeRequest;

constexpr std::size_t expired_at_once_max = 50;

bool by_key(const PurgeRequest& a, const PurgeRequest& b) { return a.key() < b.key(); }

}  // namespace

Result<void> purge_cache(state::Transaction& tx, const std::string& task_queue, const std::string& cache) {
  if (cache.empty() || cache.size() > cache_name_bytes_max) {
    return Error(ErrorCode::invalid_input, fmt::format("cacheName: must have 1 to {} bytes", cache_name_bytes_max));
  }
  Time expires = tx.now() + purge_term;
  std::string id = PurgeRequest::make_id(task_queue, cache);
  if (tx.find<PurgeRequest>(id)) {
    tx.update<PurgeRequest>(id, [&](PurgeRequest& request) {
      request.before = tx.now();
      request.expires = expires;
    });
    return success();
  }
  if (tx.state().table<PurgeRequest>().size() >= purge_requests_max) {
    return Error(ErrorCode::unavailable, fmt::format("{} caches are to be purged already", purge_requests_max),
                 "requests end after a day");
  }
  tx.insert(PurgeRequest{task_queue, cache, tx.now(), expires});
  return success();
}

std::vector<PurgeRequest> purge_requests(const state::State& state, const std::string& task_queue, Time since,
                                         Time now) {
  std::vector<PurgeRequest> found;
  state.table<PurgeRequest>().for_each([&](const PurgeRequest& request) {
    bool wanted = request.task_queue == task_queue && request.before >= since && request.expires > now;
    if (wanted) found.push_back(request);
  });
  std::ranges::sort(found, by_key);
  return found;
}

std::vector<PurgeRequest> all_purge_requests(const state::State& state, const std::string& after, std::size_t limit,
                                             Time now) {
  std::vector<const PurgeRequest*> found;
  state.table<PurgeRequest>().for_each([&](const PurgeRequest& request) {
    if (request.expires > now && request.key() > after) found.push_back(&request);
  });
  std::ranges::sort(found, [](const PurgeRequest* a, const PurgeRequest* b) { return by_key(*a, *b); });
  found.resize(std::min(found.size(), limit));
  std::vector<PurgeRequest> page;
  for (const PurgeRequest* request : found) page.push_back(*request);
  return page;
}

bool expire_purge_requests(state::Transaction& tx) {
  std::vector<std::string> expired;
  tx.state().table<PurgeRequest>().for_each([&](const PurgeRequest& request) {
    if (request.expires <= tx.now()) expired.push_back(request.key());
  });
  std::ranges::sort(expired);
  std::size_t erased = 0;
  for (const std::string& id : expired) {
    if (erased == expired_at_once_max || !tx.has_room(1)) break;
    tx.erase<PurgeRequest>(id);
    ++erased;
  }
  return erased < expired.size();
}

}  // namespace gantry::index
