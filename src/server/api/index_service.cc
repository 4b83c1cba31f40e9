// The index service (taskcluster.md 2.10).
#include "server/api/index_service.h"

#include <algorithm>
#include <limits>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/pages.h"

namespace gantry::server {
namespace {

using state::IndexedTask;
using state::IndexNamespace;
using state::TableId;

constexpr std::size_t scan_rows = 100;
constexpr std::size_t indexes_max = 10'000;  // of one findTasksAtIndex

void check_path(std::string_view path) {
  if (index::is_path(path)) return;
  throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not an index path", shorten(path, 300)),
              fmt::format("it is names of [a-zA-Z0-9_!~*'()%-] joined by dots: up to {} names, {} characters",
                          index::path_names_max, index::path_bytes_max))
      .with_fault(InputFault::arguments);
}

void append_indexed(JsonWriter& out, const IndexedTask& indexed) {
  out.begin_object().field("namespace", indexed.path).field("taskId", indexed.task.to_string());
  out.field("rank", indexed.rank).key("data").raw(indexed.data.empty() ? "{}" : indexed.data);
  out.field("expires", indexed.expires).end_object();
}

std::string indexed_body(const IndexedTask& indexed) {
  std::string body;
  JsonWriter out(body);
  append_indexed(out, indexed);
  return body;
}

Async<IndexedTask> find_indexed(Services& services, const std::string& path) {
  co_await services.cold.ensure<IndexedTask>(path);
  auto tx = services.commits.begin();
  auto found = index::find(tx, path);
  std::optional<IndexedTask> indexed;
  if (found) indexed = *found.value();
  co_await services.commits.settled(services.commits.stage(tx));
  value_or_throw(std::move(found));
  co_return std::move(*indexed);
}

Async<net::Response> find_task(Services& services, Call& call) {
  const std::string& path = call.parameter("indexPath");
  check_path(path);
  call.require("index:find-task:" + path);
  IndexedTask indexed = co_await find_indexed(services, path);
  co_return json_response(indexed_body(indexed));
}

index::Entry read_entry(const std::string& path, const std::string& body) {
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  index::Entry entry;
  entry.path = path;
  auto task = TaskId::parse(reader.required_text("taskId", {}));
  if (!task) reader.fail("taskId", "must be a slugid");
  entry.task = task.value_or(TaskId());
  reader.require("rank");
  constexpr double most = std::numeric_limits<double>::max();
  entry.rank = reader.real("rank", -most, most, 0);
  reader.require("expires");
  entry.expires = reader.time("expires").value_or(Time());
  const json::value* data = reader.require("data");
  if (data && !data->is_object()) reader.fail("data", "must be an object");
  if (data) {
    entry.data.clear();
    append_canonical_json(entry.data, *data);
  }
  if (entry.data.size() > index::data_bytes_max) {
    reader.fail("data", fmt::format("must have at most {} bytes of JSON", index::data_bytes_max));
  }
  value_or_throw(reader.finish());
  return entry;
}

Async<net::Response> insert_task(Services& services, Call& call) {
  std::string path = call.parameter("namespace");
  check_path(path);
  call.require("index:insert-task:" + path);
  std::string body = co_await json_body(call);
  index::Entry entry = read_entry(path, body);
  co_await load_for_insert(services, path);
  auto tx = services.commits.begin();
  std::string answer = indexed_body(*index::insert(tx, entry));
  co_await services.commits.settled(services.commits.stage(tx));
  co_return json_response(std::move(answer));
}

Async<net::Response> delete_task(Services& services, Call& call) {
  const std::string& path = call.parameter("namespace");
  check_path(path);
  call.require("index:delete-task:" + path);
  co_await services.cold.ensure<IndexedTask>(path);
  auto tx = services.commits.begin();
  index::remove(tx, path);
  co_await services.commits.settled(services.commits.stage(tx));
  co_return json_response("{}");
}

/// The namespace that a listing is about; empty for the root.
std::string listed_namespace(const Call& call) {
  for (const auto& [name, value] : call.parameters) {
    if (name != "namespace") continue;
    check_path(value);
    return value;
  }
  return {};
}

/// What a page of a listing starts after: a name within the namespace.
std::string page_start(const Call& call) {
  std::string name = page_position(call);
  if (name.find_first_of("./") != std::string::npos) throw bad_page_token();
  return name;
}

struct Page {
  std::vector<store::Entry> rows;
  std::string next;  // the last name, if there may be more
};

/// Rows directly below a namespace that have not expired. Ends early at page_bytes_max.
template <class Record>
Async<Page> read_page(Services& services, TableId table, std::string space, std::string after, std::size_t limit) {
  const std::string prefix = space + "/";
  state::Key at{0, prefix + after};
  Page page;
  Time now = services.env.now();
  for (std::size_t bytes = 0;;) {
    auto rows = co_await services.cold.scan(table, at, std::min(scan_rows, limit));
    for (store::Entry& row : rows) {
      if (!row.key.name.starts_with(prefix)) co_return page;
      at = row.key;
      if (value_or_throw(state::decode<Record>(row.key, row.value)).expires <= now) continue;
      bytes += row.value.size();
      page.rows.push_back(std::move(row));
      if (page.rows.size() == limit || bytes >= page_bytes_max) {
        page.next = at.name.substr(prefix.size());
        co_return page;
      }
    }
    if (rows.size() < std::min(scan_rows, limit)) co_return page;
  }
}

void end_page(JsonWriter& out, const Page& page) {
  out.end_array();
  if (!page.next.empty()) out.field("continuationToken", page_token(page.next));
  out.end_object();
}

Async<net::Response> list_tasks(Services& services, Call& call) {
  std::string space = listed_namespace(call);
  call.require("index:list-tasks:" + space);
  Page page = co_await read_page<IndexedTask>(services, TableId::index_task, space, page_start(call), page_limit(call));
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("tasks").begin_array();
  for (const auto& row : page.rows) append_indexed(out, value_or_throw(state::decode<IndexedTask>(row.key, row.value)));
  end_page(out, page);
  co_return json_response(std::move(body));
}

Async<net::Response> list_namespaces(Services& services, Call& call) {
  std::string space = listed_namespace(call);
  call.require("index:list-namespaces:" + space);
  Page page =
      co_await read_page<IndexNamespace>(services, TableId::index_namespace, space, page_start(call), page_limit(call));
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("namespaces").begin_array();
  for (const auto& row : page.rows) {
    auto below = value_or_throw(state::decode<IndexNamespace>(row.key, row.value));
    out.begin_object().field("namespace", below.path).field("name", row.key.name.substr(space.size() + 1));
    out.field("expires", below.expires).end_object();
  }
  end_page(out, page);
  co_return json_response(std::move(body));
}

/// The old forms of the listings: a POST whose body says nothing that the query does not.
Async<net::Response> list_tasks_post(Services& services, Call& call) {
  co_await json_body(call);
  co_return co_await list_tasks(services, call);
}

Async<net::Response> list_namespaces_post(Services& services, Call& call) {
  co_await json_body(call);
  co_return co_await list_namespaces(services, call);
}

std::vector<std::string> read_indexes(const std::string& body) {
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  std::vector<std::string> paths;
  std::set<std::string_view> seen;
  const json::array* indexes = reader.array("indexes", indexes_max);
  for (std::size_t i = 0; indexes && i < indexes->size(); ++i) {
    const json::string* path = (*indexes)[i].if_string();
    if (!path) {
      reader.fail("indexes", "must be strings");
      break;
    }
    if (seen.insert(*path).second) paths.emplace_back(*path);
  }
  value_or_throw(reader.finish());
  return paths;
}

Async<net::Response> find_tasks_at_index(Services& services, Call& call) {
  std::string request = co_await json_body(call);
  std::vector<std::string> paths = read_indexes(request);
  std::vector<access::ScopeExpression> needs;
  for (const std::string& path : paths) needs.push_back("index:find-task:" + path);
  value_or_throw(call.identity.require_expression(access::ScopeExpression::all_of(std::move(needs))));
  std::size_t at = std::min<std::size_t>(page_number(call), paths.size());
  std::size_t end = std::min(paths.size(), at + page_limit(call));
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("tasks").begin_array();
  for (; at < end && body.size() < page_bytes_max; ++at) {
    if (!index::is_path(paths[at])) continue;  // nothing can be there
    co_await services.cold.ensure<IndexedTask>(paths[at]);
    auto tx = services.commits.begin();
    if (auto found = index::find(tx, paths[at])) append_indexed(out, *found.value());
  }
  out.end_array();
  if (at < paths.size()) out.field("continuationToken", page_token(std::to_string(at)));
  out.end_object();
  co_await services.commits.settled(services.commits.state().last_commit());
  co_return json_response(std::move(body));
}

/// Answers as the queue does for the newest run of the task that is indexed: so links, scopes and signed URLs are the
/// queue's.
Async<net::Response> find_artifact(Services& services, const Router& router, Call& call) {
  std::string path = call.parameter("indexPath");
  std::string name = call.parameter("name");
  check_path(path);
  call.require("queue:get-artifact:" + name);
  IndexedTask indexed = co_await find_indexed(services, path);
  auto routes = std::ranges::find(router.routes(), "getLatestArtifact", &Route::name);
  GANTRY_ASSERT(routes != router.routes().end());
  call.parameters = {{"taskId", indexed.task.to_string()}, {"name", name}};
  co_return co_await routes->handler(call);
}

}  // namespace

void add_index_routes(Router& router, Services& services) {
  Bind bind{services};
  auto artifact = [&services, &router](Call& call) { return find_artifact(services, router, call); };
  const std::string base = "/api/index/v1";
  using enum net::Method;
  auto tc = Dialect::taskcluster;
  router.add({get, base + "/task/:indexPath", "findTask", tc, bind(find_task), true, {}});
  router.add({put, base + "/task/:namespace", "insertTask", tc, bind(insert_task), true, {}});
  router.add({delete_, base + "/task/:namespace", "deleteTask", tc, bind(delete_task), true, {}});
  router.add({get, base + "/task/:indexPath/artifacts/*name", "findArtifactFromTask", tc, artifact, true, {}});
  router.add({post, base + "/tasks/indexes", "findTasksAtIndex", tc, bind(find_tasks_at_index), true, page_keys()});
  for (const char* place : {"/:namespace", "/", ""}) {
    router.add({get, base + "/namespaces" + place, "listNamespaces", tc, bind(list_namespaces), true, page_keys()});
    router.add(
        {post, base + "/namespaces" + place, "listNamespacesPost", tc, bind(list_namespaces_post), true, page_keys()});
    router.add({get, base + "/tasks" + place, "listTasks", tc, bind(list_tasks), true, page_keys()});
    router.add({post, base + "/tasks" + place, "listTasksPost", tc, bind(list_tasks_post), true, page_keys()});
  }
}

}  // namespace gantry::server
