#include "server/api/references.h"

#include <algorithm>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "wire/payload_keys.h"

namespace gantry::server {
namespace {

constexpr std::string_view services[] = {"auth", "index", "object", "purge-cache", "queue", "secrets"};

std::string_view method_word(net::Method method) {
  switch (method) {
    case net::Method::get: return "get";
    case net::Method::post: return "post";
    case net::Method::put: return "put";
    default: return "delete";
  }
}

/// ":taskId" -> "<taskId>"; the names are added to `arguments`.
std::string published_route(std::string_view pattern, std::vector<std::string>& arguments) {
  std::string route;
  while (!pattern.empty()) {
    std::size_t end = std::min(pattern.find('/', 1), pattern.size());
    std::string_view segment = pattern.substr(1, end - 1);
    bool parameter = segment.starts_with(':') || segment.starts_with('*');
    if (parameter) arguments.emplace_back(segment.substr(1));
    route += parameter ? fmt::format("/<{}>", segment.substr(1)) : fmt::format("/{}", segment);
    pattern.remove_prefix(end);
  }
  return route;
}

void append_texts(JsonWriter& out, std::string_view key, const std::vector<std::string>& texts) {
  out.key(key).begin_array();
  for (const auto& text : texts) out.string(text);
  out.end_array();
}

/// What is known of the method; null if nothing is.
const MethodNotes* notes_of(std::string_view service, std::string_view name) {
  for (const MethodNotes& notes : method_notes()) {
    if ((notes.service == service || notes.service.empty()) && notes.name == name) return &notes;
  }
  return nullptr;
}

void append_entry(JsonWriter& out, const Route& route, std::string_view path, const MethodNotes& notes) {
  std::vector<std::string> arguments;
  std::string published = published_route(path, arguments);
  out.begin_object().field("type", "function").field("method", method_word(route.method));
  out.field("route", published);
  append_texts(out, "args", arguments);
  append_texts(out, "query", route.query_keys);
  out.field("name", route.name).field("stability", notes.stability).field("category", "API");
  if (!notes.scopes.empty()) out.key("scopes").raw(notes.scopes);
  if (!notes.input.empty()) out.field("input", fmt::format("v1/{}.json#", notes.input));
  if (!notes.output.empty()) out.field("output", fmt::format("v1/{}.json#", notes.output));
  out.field("title", notes.title).field("description", notes.title).end_object();
}

void append_key_part(JsonWriter& out, std::string_view name, std::string_view summary, bool required) {
  out.begin_object().field("name", name).field("summary", summary);
  if (name == "routingKeyKind") out.field("constant", "primary");
  out.field("multipleWords", name == "reserved").field("required", required).end_object();
}

void append_routing_key(JsonWriter& out, bool of_group) {
  out.begin_array();
  append_key_part(out, "routingKeyKind", "Always `primary`; `route` for a task's own routes.", true);
  if (!of_group) {
    append_key_part(out, "taskId", "The task.", true);
    append_key_part(out, "runId", "The run.", false);
    append_key_part(out, "workerGroup", "Group of its worker.", false);
    append_key_part(out, "workerId", "Its worker.", false);
    append_key_part(out, "provisionerId", "First part of the task queue.", true);
    append_key_part(out, "workerType", "Second part of the task queue.", true);
    append_key_part(out, "schedulerId", "Who is responsible for the task.", true);
  }
  append_key_part(out, "taskGroupId", "The group.", true);
  if (of_group) append_key_part(out, "schedulerId", "Who is responsible for the group.", true);
  append_key_part(out, "reserved", "For what may come: end patterns with `#`.", false);
  out.end_array();
}

std::string manifest() {
  std::string text;
  JsonWriter out(text);
  out.begin_object().field("$schema", "/schemas/common/manifest-v3.json#").key("references").begin_array();
  for (std::string_view service : services) out.string(fmt::format("/references/{}/v1/api.json", service));
  out.string("/references/queue/v1/exchanges.json").end_array().end_object();
  return text;
}

std::string schema_manifest() {
  std::string text;
  JsonWriter out(text);
  out.begin_object().key("schemas").begin_array();
  for (const EmbeddedFile& file : embedded_schemas()) out.string(fmt::format("/schemas/{}", file.path));
  out.string(fmt::format("/schemas/{}", wire::payload_schema_path));
  out.end_array().end_object();
  return text;
}

/// Documents by path below /references and /schemas; made at the first request, when all routes are known.
class Documents {
 public:
  explicit Documents(const Router& router) : router_(router) {}

  Async<net::Response> serve(Call& call, std::string_view folder) {
    if (texts_.empty()) fill();
    std::string path = fmt::format("{}/{}", folder, call.parameter("path"));
    auto found = texts_.find(path);
    if (found == texts_.end()) {
      throw Error(ErrorCode::not_found, fmt::format("there is no /{}", shorten(path, 200)),
                  "see /references/manifest.json and /schemas/manifest.json");
    }
    co_return json_response(found->second);
  }

 private:
  void fill() {
    for (const EmbeddedFile& file : embedded_schemas()) texts_.emplace(fmt::format("schemas/{}", file.path), file.text);
    texts_[fmt::format("schemas/{}", wire::payload_schema_path)] = wire::payload_schema();
    texts_["schemas/manifest.json"] = schema_manifest();
    for (std::string_view service : services) {
      texts_[fmt::format("references/{}/v1/api.json", service)] = api_reference(router_, service);
    }
    texts_["references/queue/v1/exchanges.json"] = exchanges_reference();
    texts_["references/manifest.json"] = manifest();
  }

  const Router& router_;
  std::map<std::string, std::string> texts_;
};

}  // namespace

std::span<const std::string_view> published_services() { return services; }

std::string api_reference(const Router& router, std::string_view service) {
  const std::string base = fmt::format("/api/{}/v1", service);
  std::map<std::string_view, const Route*> chosen;
  std::vector<std::string_view> order;
  for (const Route& route : router.routes()) {
    if (!route.pattern.starts_with(base + "/") || route.dialect != Dialect::taskcluster) continue;
    auto [place, fresh] = chosen.emplace(route.name, &route);
    if (fresh) order.push_back(route.name);
  }
  std::string text;
  JsonWriter out(text);
  out.begin_object().field("$schema", "/schemas/common/api-reference-v0.json#").field("apiVersion", "v1");
  out.field("serviceName", service).field("title", fmt::format("The {} service", service));
  out.field("description", fmt::format("The methods of the {} service.", service)).key("entries").begin_array();
  for (std::string_view name : order) {
    const MethodNotes* known = notes_of(service, name);
    MethodNotes notes = known ? *known : MethodNotes{service, name, name, {}, {}, {}, "experimental"};
    if (notes.published) {
      append_entry(out, *chosen[name], std::string_view(chosen[name]->pattern).substr(base.size()), notes);
    }
  }
  out.end_array().end_object();
  return text;
}

std::string exchanges_reference() {
  std::string text;
  JsonWriter out(text);
  out.begin_object().field("$schema", "/schemas/common/exchanges-reference-v0.json#").field("apiVersion", "v1");
  out.field("serviceName", "queue").field("title", "Messages of the queue");
  out.field("description", "What the queue publishes about tasks and groups: at least once, each task's in order.");
  out.field("exchangePrefix", "exchange/taskcluster-queue/v1/").key("entries").begin_array();
  for (const ExchangeNotes& notes : exchange_notes()) {
    out.begin_object().field("type", "topic-exchange").field("exchange", notes.exchange).field("name", notes.name);
    out.field("title", notes.title).field("description", notes.title).key("routingKey");
    append_routing_key(out, notes.of_group);
    out.field("schema", fmt::format("v1/{}.json#", notes.schema)).end_object();
  }
  out.end_array().end_object();
  return text;
}

void add_reference_routes(Router& router, Services&) {
  auto documents = std::make_shared<Documents>(router);
  auto references = [documents](Call& call) { return documents->serve(call, "references"); };
  auto schemas = [documents](Call& call) { return documents->serve(call, "schemas"); };
  router.add({net::Method::get, "/references/*path", "getReference", Dialect::native, references, false, {}});
  router.add({net::Method::get, "/schemas/*path", "getSchema", Dialect::native, schemas, false, {}});
}

}  // namespace gantry::server
