#include "server/api/router.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "wire/task_definition.h"

namespace gantry::server {
namespace {

constexpr std::size_t segments_max = 64;

/// A path's segments; of one with more than segments_max the last is all that is left.
struct Path {
  explicit Path(std::string_view path) : text(path) {
    std::size_t at = path.starts_with('/') ? 1 : 0;
    while (at <= path.size() && count < segments_max) {
      std::size_t to = std::min(path.find('/', at), path.size());
      parts[count++] = path.substr(at, to - at);
      at = to + 1;
    }
    whole = at > path.size();
  }
  void put_first(std::string_view part) {
    std::move_backward(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(count),
                       parts.begin() + static_cast<std::ptrdiff_t>(count) + 1);
    parts[0] = part;
    ++count;
  }
  /// With the slashes between them.
  std::string_view between(std::size_t first, std::size_t end) const {
    const char* to = parts[end - 1].data() + parts[end - 1].size();
    return {parts[first].data(), static_cast<std::size_t>(to - parts[first].data())};
  }
  std::string_view from(std::size_t first) const {
    return text.substr(static_cast<std::size_t>(parts[first].data() - text.data()));
  }

  std::string_view text;
  std::array<std::string_view, segments_max> parts;
  std::size_t count = 0;
  bool whole = false;
};

}  // namespace

const std::string& Call::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  GANTRY_ASSERT(false);
}

std::string_view Call::query_value(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return {};
}

void Call::require(std::string_view scope) const { value_or_throw(identity.require(scope)); }
void Call::require_expression(const access::ScopeExpression& expression) const {
  value_or_throw(identity.require_expression(expression));
}

Async<std::string> Call::body(std::size_t bytes_max) {
  // Before megabytes are read: nothing that takes a body is open to everyone.
  if (identity.anonymous()) throw Error(ErrorCode::not_authorized, "this needs credentials", "see: gantry env --help");
  std::string bytes = co_await net::read_all(*request.body, bytes_max);
  value_or_throw(auth::check_payload_hash(identity, request.headers.get("content-type"), bytes));
  co_return bytes;
}

namespace {

TaskId slug_parameter(const std::string& text, const char* what) {
  auto id = TaskId::parse(text);
  if (!id) {
    throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not a {}", shorten(text, 60), what),
                fmt::format("a {} is a slugid: 22 characters such as fN1SbArXTPSVFNUvaOlinQ", what))
        .with_fault(InputFault::arguments);
  }
  return *id;
}

}  // namespace

TaskId Call::task_id() const { return slug_parameter(parameter("taskId"), "task id"); }

TaskGroupId Call::task_group_id() const { return slug_parameter(parameter("taskGroupId"), "task group id"); }

int Call::run_id() const {
  const std::string& text = parameter("runId");
  int run = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), run);
  if (error != std::errc() || end != text.data() + text.size() || run < 0) {
    throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not a run id", shorten(text, 60)),
                "run ids count from 0")
        .with_fault(InputFault::arguments);
  }
  return run;
}

const std::string& Call::task_queue_id() const {
  const std::string& text = parameter("taskQueueId");
  if (!wire::is_task_queue_id(text)) {
    throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not a task queue id", shorten(text, 80)),
                "it is <provisionerId>/<workerType>")
        .with_fault(InputFault::arguments);
  }
  return text;
}

const std::string& Call::identifier(std::string_view name) const {
  const std::string& text = parameter(name);
  if (!wire::is_identifier(text)) {
    throw Error(ErrorCode::invalid_input,
                fmt::format("{}: \"{}\" must be 1 to 38 of [a-zA-Z0-9-_]", name, shorten(text, 60)))
        .with_fault(InputFault::arguments);
  }
  return text;
}

Router::Node& Router::child(Node& node, std::string_view segment) {
  std::unique_ptr<Node>* place = nullptr;
  if (segment.starts_with(':')) {
    place = &node.one;
  } else if (segment.starts_with('*')) {
    place = &node.rest;
  } else {
    auto found = std::ranges::find(node.literals, segment, [](const auto& literal) { return literal.first; });
    if (found == node.literals.end()) found = node.literals.insert(found, {std::string(segment), nullptr});
    place = &found->second;
  }
  if (!*place) *place = std::make_unique<Node>();
  return **place;
}

void Router::add(Route route) {
  Node* node = &root_;
  std::vector<std::string> names;
  Path path(route.pattern);
  for (std::size_t i = 0; i < path.count; ++i) {
    node = &child(*node, path.parts[i]);
    if (path.parts[i].starts_with(':') || path.parts[i].starts_with('*')) names.emplace_back(path.parts[i].substr(1));
  }
  for (std::size_t other : node->routes) GANTRY_ASSERT(routes_[other].method != route.method);
  node->routes.push_back(routes_.size());
  names_.push_back(std::move(names));
  routes_.push_back(std::move(route));
}

struct Router::Search {
  net::Method method;
  Path path;
  std::vector<std::string_view> values{};  // of the parameters so far, raw
  std::size_t route = routes_none;
  bool other_method = false;

  static constexpr std::size_t routes_none = SIZE_MAX;
};

bool Router::end_here(const Node& node, Search& search) const {
  for (std::size_t route : node.routes) {
    if (routes_[route].method == search.method) {
      search.route = route;
      return true;
    }
    search.other_method = search.other_method || routes_[route].dialect == Dialect::native;
  }
  return false;
}

bool Router::find(const Node& node, std::size_t index, Search& search) const {
  const Path& path = search.path;
  if (index == path.count) return path.whole && end_here(node, search);
  std::string_view part = path.parts[index];
  for (const auto& [text, next] : node.literals) {
    if (text == part && find(*next, index + 1, search)) return true;
  }
  if (part.empty()) return false;  // no parameter is empty, or begins with a slash
  std::size_t known = search.values.size();
  if (node.one) {
    search.values.push_back(part);
    if (find(*node.one, index + 1, search)) return true;
    search.values.resize(known);
  }
  if (!node.rest) return false;
  search.values.emplace_back();
  for (std::size_t end = index + 1; end < path.count; ++end) {
    search.values[known] = path.between(index, end);
    if (!node.rest->literals.empty() && find(*node.rest, end, search)) return true;
    search.values.resize(known + 1);
  }
  search.values[known] = path.from(index);
  if (end_here(*node.rest, search)) return true;
  search.values.resize(known);
  return false;
}

Router::Match Router::match(net::Method method, std::string_view path) const {
  Search search{method == net::Method::head ? net::Method::get : method, Path(path)};
  if (search.path.count > 1 && search.path.parts[0] == "queue" && search.path.count < segments_max) {
    search.path.put_first("api");
  }
  Match match;
  bool found = find(root_, 0, search);
  match.other_method = !found && search.other_method;
  if (!found) return match;
  match.route = &routes_[search.route];
  const auto& names = names_[search.route];
  match.parameters.reserve(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto decoded = net::percent_decode(search.values[i]);
    if (!decoded) match.bad_escape = true;
    match.parameters.emplace_back(names[i], std::move(decoded).value_or(""));
  }
  return match;
}

}  // namespace gantry::server
