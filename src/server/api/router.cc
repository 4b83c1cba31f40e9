#include "server/api/router.h"

#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace gantry::server {
namespace {

constexpr std::size_t segments_max = 64;

std::vector<std::string_view> split_path(std::string_view path) {
  std::vector<std::string_view> parts;
  std::size_t from = path.starts_with('/') ? 1 : 0;
  while (from <= path.size() && parts.size() < segments_max) {
    std::size_t to = std::min(path.find('/', from), path.size());
    parts.push_back(path.substr(from, to - from));
    from = to + 1;
  }
  return parts;
}

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

Async<std::string> Call::body(std::size_t bytes_max) {
  // Before megabytes are read: nothing that takes a body is open to everyone.
  if (identity.anonymous()) throw Error(ErrorCode::not_authorized, "this needs credentials", "see: gantry env --help");
  std::string bytes = co_await net::read_all(*request.body, bytes_max);
  value_or_throw(auth::check_payload_hash(identity, request.headers.get("content-type"), bytes));
  co_return bytes;
}

TaskId Call::task_id() const {
  const std::string& text = parameter("taskId");
  auto id = TaskId::parse(text);
  if (!id) {
    throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not a task id", shorten(text, 60)),
                "a task id is a slugid: 22 characters such as fN1SbArXTPSVFNUvaOlinQ");
  }
  return *id;
}

int Call::run_id() const {
  const std::string& text = parameter("runId");
  int run = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), run);
  if (error != std::errc() || end != text.data() + text.size() || run < 0) {
    throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not a run id", shorten(text, 60)),
                "run ids count from 0");
  }
  return run;
}

void Router::add(Route route) {
  Compiled compiled{routes_.size(), {}};
  for (std::string_view part : split_path(route.pattern)) {
    auto kind = part.starts_with(':')   ? Segment::Kind::one
                : part.starts_with('*') ? Segment::Kind::rest
                                        : Segment::Kind::literal;
    compiled.segments.push_back({kind, std::string(part.substr(kind == Segment::Kind::literal ? 0 : 1))});
  }
  compiled_.push_back(std::move(compiled));
  routes_.push_back(std::move(route));
}

bool Router::fits(const Compiled& compiled, const std::vector<std::string_view>& parts, std::string_view path,
                  Match& match) {
  const auto& segments = compiled.segments;
  bool open_ended = segments.back().kind == Segment::Kind::rest;
  if (open_ended ? parts.size() < segments.size() : parts.size() != segments.size()) return false;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (segments[i].kind == Segment::Kind::literal && segments[i].text != parts[i]) return false;
    if (segments[i].kind != Segment::Kind::literal && parts[i].empty()) return false;
  }
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (segments[i].kind == Segment::Kind::literal) continue;
    std::string_view raw = parts[i];
    if (segments[i].kind == Segment::Kind::rest) raw = path.substr(static_cast<std::size_t>(raw.data() - path.data()));
    auto decoded = net::percent_decode(raw);
    if (!decoded) match.bad_escape = true;
    match.parameters.emplace_back(segments[i].text, decoded.value_or(""));
  }
  return true;
}

Router::Match Router::match(net::Method method, std::string_view path) const {
  Match match;
  std::vector<std::string_view> parts = split_path(path);
  if (method == net::Method::head) method = net::Method::get;
  for (const Compiled& compiled : compiled_) {
    const Route& route = routes_[compiled.route];
    if (route.method != method && match.other_method) continue;
    Match candidate;
    if (!fits(compiled, parts, path, candidate)) continue;
    if (route.method != method) {
      match.other_method = true;
      continue;
    }
    candidate.route = &route;
    return candidate;
  }
  return match;
}

}  // namespace gantry::server
