// Artifacts: recorded by runs, read by anyone who may (taskcluster.md 2.6).
#include <algorithm>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

#include "base/text.h"
#include "core/objects/upload.h"
#include "core/queue/artifact.h"
#include "core/queue/limits.h"
#include "core/queue/run.h"
#include "server/api/answers.h"
#include "server/api/finish_log.h"
#include "server/api/handlers.h"
#include "server/api/object_service.h"
#include "server/api/pages.h"
#include "server/api/shells.h"
#include "server/auth/signed_url.h"

namespace gantry::server {
namespace {

constexpr int links_max = 10;
constexpr std::size_t url_bytes_max = 4096;
constexpr std::int64_t content_bytes_max = std::int64_t{1} << 50;
constexpr std::string_view reasons[] = {"file-missing-on-worker", "invalid-resource-on-worker",
                                        "too-large-file-on-worker", "file-not-readable-on-worker"};

bool is_reason(std::string_view text) { return std::ranges::find(reasons, text) != std::end(reasons); }

/// Of the format "uri" as schemas mean it: a scheme, and no space.
bool is_uri(std::string_view text) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  auto of_scheme = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'; };
  std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || !letter(text.front())) return false;
  return std::ranges::all_of(text.substr(0, colon), of_scheme) &&
         text.find_first_of(" \t\n\v\f\r") == std::string_view::npos;
}

/// What can become a Location header.
bool is_url(std::string_view text) {
  bool clean = is_printable_ascii(text) && text.size() <= url_bytes_max;
  return clean && (text.starts_with("http://") || text.starts_with("https://"));
}

bool is_content_type(std::string_view text) { return !text.empty() && is_printable_ascii(text); }

bool is_artifact_name(std::string_view text) {
  return !text.empty() && text.size() <= queue::artifact_name_bytes_max && is_printable_ascii(text);
}

bool is_slug(std::string_view text) { return TaskId::parse(text).has_value(); }

constexpr ObjectReader::TextRule upload_id_rule{22, 22, is_slug, "a slugid"};
// The schema knows less of these.
constexpr ObjectReader::TextRule content_type_rule{0, 255, is_content_type, "1 to 255 printable ASCII characters",
                                                   InputFault::meaning};
constexpr ObjectReader::TextRule name_rule{0, SIZE_MAX, is_artifact_name, "1 to 1024 printable ASCII characters",
                                           InputFault::meaning};
constexpr ObjectReader::TextRule uri_rule{0, SIZE_MAX, is_uri, "a URL"};

std::int64_t read_content_length(ObjectReader& reader) {
  constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();
  std::int64_t bytes = reader.integer("contentLength", 0, any, -1);
  if (bytes > content_bytes_max) reader.contradict("contentLength", fmt::format("is more than {}", content_bytes_max));
  return bytes;
}

std::string read_url(ObjectReader& reader) {
  std::string url(reader.required_text("url", uri_rule));
  if (!url.empty() && !is_url(url)) {
    reader.contradict("url", fmt::format("must be an http or https URL of at most {} bytes", url_bytes_max));
  }
  return url;
}

queue::ArtifactRequest read_request(const std::string& body, state::ArtifactId id) {
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  queue::ArtifactRequest request;
  request.id = std::move(id);
  std::string_view type = reader.required_text("storageType", {});
  auto parsed = wire::parse_storage_type(type);
  if (!parsed) {
    reader.fail("storageType", fmt::format("\"{}\" must be s3, object, reference, link or error", shorten(type, 40)));
  }
  request.type = parsed.value_or(state::StorageType::s3);
  reader.require("expires");
  request.expires = reader.time("expires").value_or(Time());
  switch (request.type) {
    case state::StorageType::s3:
    case state::StorageType::object:
      request.content_type = reader.required_text("contentType", content_type_rule);
      request.content_bytes = read_content_length(reader);
      break;
    case state::StorageType::reference:
      request.content_type = reader.required_text("contentType", content_type_rule);
      request.target = read_url(reader);
      break;
    case state::StorageType::link:
      request.content_type = reader.text("contentType", content_type_rule, "application/binary");
      request.target = reader.required_text("artifact", name_rule);
      break;
    case state::StorageType::error:
      request.content_type = "application/json";
      request.reason = reader.required_text("reason", {1, 64, is_reason, "one of the documented reasons"});
      request.message = reader.required_text("message", {0, 4096});
      break;
  }
  value_or_throw(reader.finish());
  return request;
}

/// A URL by which anyone may do one thing to one object for a while.
std::string signed_object_url(const Services& services, const Call& call, std::string_view method,
                              const std::string& object) {
  Time expires = services.env.now() + auth::signed_url_life_max;
  return fmt::format("{}/v1/objects/{}?{}", base_url(services, call.request), net::percent_encode(object),
                     auth::signed_url_query(method, object, expires, services.object_key));
}

/// Where the bytes of a new artifact go.
void append_grant(JsonWriter& out, const Services& services, const Call& call, const state::Artifact& artifact,
                  const state::Task& task) {
  if (artifact.type == state::StorageType::s3) {
    out.field("putUrl", signed_object_url(services, call, "PUT", artifact_object(artifact.id)));
    Time until = services.env.now() + auth::signed_url_life_max;
    out.field("expires", until).field("contentType", artifact.content_type);
  }
  if (artifact.type == state::StorageType::object) {
    const state::Run& run = task.runs[static_cast<std::size_t>(artifact.id.run)];
    append_upload_grant(out, services, artifact, task.project, run.worker_group + "/" + run.worker_id.str());
  }
}

Async<net::Response> create_artifact(Services& services, Call& call) {
  TaskId id = call.task_id();
  int run = call.run_id();
  call.require(fmt::format("queue:create-artifact:{}/{}", id.to_string(), run));
  std::string body = co_await json_body(call);
  queue::ArtifactRequest request = read_request(body, {id, run, call.parameter("name")});
  bool uploads = request.type == state::StorageType::object;
  if (uploads) request.target = TaskId::random(services.env).to_string();
  co_await services.cold.ensure_artifacts(id);
  auto tx = services.commits.begin();
  auto made = queue::create_artifact(tx, request);
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().field("storageType", name_of(request.type));
  if (made) append_grant(out, services, call, *made.value(), *tx.find<state::Task>(id));
  out.end_object();
  std::uint64_t version = services.commits.stage(tx, made.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(made));
  co_return json_response(std::move(answer));
}

/// The bytes of an artifact of type object are in the object service.
Async<net::Response> finish_artifact(Services& services, Call& call) {
  TaskId id = call.task_id();
  state::ArtifactId artifact{id, call.run_id(), call.parameter("name")};
  call.require(fmt::format("queue:create-artifact:{}/{}", id.to_string(), artifact.run));
  std::string body = co_await json_body(call);
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  std::string upload(reader.required_text("uploadId", upload_id_rule));
  value_or_throw(reader.finish());
  std::string object = artifact_upload_name(artifact);
  co_await services.cold.ensure<state::StoredObject>(object);
  co_await services.cold.ensure_artifacts(id);
  auto tx = services.commits.begin();
  auto finished = queue::finish_artifact(tx, artifact, upload);
  if (finished && !objects::find_object(tx, object)) {
    finished = Error(ErrorCode::invalid_input, fmt::format("object \"{}\" has not been uploaded", shorten(object, 200)),
                     "finish its upload first");
  }
  std::uint64_t version = services.commits.stage(tx, finished.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(finished));
  net::Response response;
  response.status = 204;
  co_return response;
}

/// The run that a read is about: the one named, or the newest.
Result<int> chosen_run(state::Transaction& tx, const Call& call, TaskId id, bool latest) {
  if (!latest) {
    int run = call.run_id();
    TRY(queue::find_run(tx, id, run));
    return run;
  }
  TRY(const state::Task* task, queue::find_task(tx, id));
  if (task->runs.empty()) return Error(ErrorCode::not_found, fmt::format("task {} has no run", id.to_string()));
  return static_cast<int>(task->runs.size()) - 1;
}

Result<state::Artifact> follow_links(state::Transaction& tx, const Call& call, TaskId id, int run) {
  std::string name = call.parameter("name");
  for (int links = 0; links <= links_max; ++links) {
    TRY(call.identity.require("queue:get-artifact:" + name));
    TRY(const state::Artifact* artifact, queue::find_artifact(tx, {id, run, name}));
    if (artifact->type != state::StorageType::link) return *artifact;
    name = artifact->target;
  }
  return Error(ErrorCode::invalid_input, fmt::format("artifact \"{}\" leads through more than {} links",
                                                     shorten(call.parameter("name"), 200), links_max));
}

net::Response error_artifact(const state::Artifact& artifact) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("reason", artifact.reason).field("message", artifact.message).end_object();
  return json_response(std::move(body), 424);
}

/// The artifact at the end of the links, once that is durable.
Async<state::Artifact> find_target(Services& services, Call& call, bool latest) {
  TaskId id = call.task_id();
  call.require("queue:get-artifact:" + call.parameter("name"));
  co_await services.cold.ensure_artifacts(id);
  auto tx = services.commits.begin();
  auto run = chosen_run(tx, call, id, latest);
  Result<state::Artifact> found = Error(ErrorCode::internal, "");
  if (run) {
    found = follow_links(tx, call, id, run.value());
  } else {
    found = run.error();
  }
  co_await services.commits.settled(services.commits.stage(tx));
  co_return value_or_throw(std::move(found));
}

/// Where the artifact's bytes are: a URL that needs no credentials.
Async<std::string> content_url(Services& services, Call& call, const state::Artifact& artifact) {
  if (auto shell = shell_page_url(services, call.request, artifact)) co_return std::move(*shell);
  if (artifact.type == state::StorageType::reference) co_return artifact.target;
  if (artifact.type == state::StorageType::object) {
    co_return co_await object_url(services, base_url(services, call.request), artifact_upload_name(artifact.id));
  }
  co_return signed_object_url(services, call, "GET", artifact_object(artifact.id));
}

Async<net::Response> get_artifact(Services& services, Call& call, bool latest) {
  state::Artifact artifact = co_await find_target(services, call, latest);
  net::Response response;
  if (artifact.type == state::StorageType::error) {
    response = error_artifact(artifact);
  } else {
    std::string url = co_await content_url(services, call, artifact);
    std::string body;
    JsonWriter out(body);
    out.begin_object().field("storageType", name_of(artifact.type)).field("url", url).end_object();
    response = json_response(std::move(body), 303);
    response.headers.add("location", url);
  }
  response.headers.add("x-taskcluster-artifact-storage-type", std::string(name_of(artifact.type)));
  co_return response;
}

Async<net::Response> get_run_artifact(Services& services, Call& call) { return get_artifact(services, call, false); }
Async<net::Response> get_latest_artifact(Services& services, Call& call) { return get_artifact(services, call, true); }

/// How to get at the content, as an answer instead of a redirection.
Async<net::Response> artifact_content(Services& services, Call& call, bool latest) {
  state::Artifact artifact = co_await find_target(services, call, latest);
  std::string url;
  bool has_url = artifact.type == state::StorageType::s3 || artifact.type == state::StorageType::reference;
  if (has_url) url = co_await content_url(services, call, artifact);
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("storageType", name_of(artifact.type));
  if (has_url) out.field("url", url);
  if (artifact.type == state::StorageType::object) append_download_grant(out, services, artifact);
  if (artifact.type == state::StorageType::error) {
    out.field("reason", artifact.reason).field("message", artifact.message);
  }
  out.end_object();
  co_return json_response(std::move(body));
}

Async<net::Response> run_content(Services& services, Call& call) { return artifact_content(services, call, false); }
Async<net::Response> latest_content(Services& services, Call& call) { return artifact_content(services, call, true); }

void require_list(const Call& call, bool latest) {
  std::string scope = "queue:list-artifacts:" + call.task_id().to_string();
  call.require(latest ? scope : fmt::format("{}:{}", scope, call.run_id()));
}

/// What lists show of one artifact; links are not followed.
Async<net::Response> artifact_info(Services& services, Call& call, bool latest) {
  TaskId id = call.task_id();
  require_list(call, latest);
  co_await services.cold.ensure_artifacts(id);
  auto tx = services.commits.begin();
  std::string body;
  JsonWriter out(body);
  Result<void> found = success();
  auto run = chosen_run(tx, call, id, latest);
  if (!run) {
    found = run.error();
  } else if (auto artifact = queue::find_artifact(tx, {id, run.value(), call.parameter("name")}); !artifact) {
    found = artifact.error();
  } else {
    append_artifact(out, *artifact.value());
  }
  co_await services.commits.settled(services.commits.stage(tx));
  value_or_throw(std::move(found));
  co_return json_response(std::move(body));
}

Async<net::Response> run_info(Services& services, Call& call) { return artifact_info(services, call, false); }
Async<net::Response> latest_info(Services& services, Call& call) { return artifact_info(services, call, true); }

/// A page in order of name; a token stands for the last name of the page before.
std::string artifact_page(const state::State& state, TaskId id, int run, const std::string& after, std::size_t limit,
                          Time now) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("artifacts").begin_array();
  const auto& names = state.artifacts_of(id);
  auto next = names.upper_bound({run, after});
  std::string last;
  for (std::size_t count = 0; next != names.end() && next->first == run && count < limit; ++next, ++count) {
    const state::Artifact& artifact = state.table<state::Artifact>().find({id, run, next->second})->record;
    last = next->second;
    if (queue::is_visible(artifact, now)) append_artifact(out, artifact);
  }
  out.end_array();
  if (next != names.end() && next->first == run) out.field("continuationToken", page_token(last));
  out.end_object();
  return body;
}

Async<net::Response> list_artifacts(Services& services, Call& call, bool latest) {
  TaskId id = call.task_id();
  require_list(call, latest);
  std::size_t limit = page_limit(call);
  std::string after = page_position(call);
  co_await services.cold.ensure_artifacts(id);
  auto tx = services.commits.begin();
  auto run = chosen_run(tx, call, id, latest);
  std::string body;
  if (run) body = artifact_page(services.commits.state(), id, run.value(), after, limit, tx.now());
  tx.abandon();
  co_await services.commits.settled(services.commits.state().last_commit());
  value_or_throw(std::move(run));
  co_return json_response(std::move(body));
}

Async<net::Response> list_run_artifacts(Services& services, Call& call) {
  return list_artifacts(services, call, false);
}
Async<net::Response> list_latest_artifacts(Services& services, Call& call) {
  return list_artifacts(services, call, true);
}

}  // namespace

void add_artifact_routes(Router& router, Services& services) {
  Bind bind{services};
  const std::string task = "/api/queue/v1/task/:taskId";
  const std::string run = task + "/runs/:runId";
  using enum net::Method;
  auto tc = Dialect::taskcluster;
  std::vector<std::string> paged = page_keys();
  router.add({get, run + "/artifacts", "listArtifacts", tc, bind(list_run_artifacts), true, paged});
  router.add({get, task + "/artifacts", "listLatestArtifacts", tc, bind(list_latest_artifacts), true, paged});
  router.add({put, run + "/artifacts/*name", "finishArtifact", tc, bind(finish_artifact), true, {}});
  router.add({get, run + "/artifact-info/*name", "artifactInfo", tc, bind(run_info), true, {}});
  router.add({get, task + "/artifact-info/*name", "latestArtifactInfo", tc, bind(latest_info), true, {}});
  router.add({get, run + "/artifact-content/*name", "artifact", tc, bind(run_content), true, {}});
  router.add({get, task + "/artifact-content/*name", "latestArtifact", tc, bind(latest_content), true, {}});
  router.add({post, run + "/artifacts/*name", "createArtifact", tc, bind(create_artifact), true, {}});
  router.add({get, run + "/artifacts/*name", "getArtifact", tc, bind(get_run_artifact), true, {}});
  router.add({get, task + "/artifacts/*name", "getLatestArtifact", tc, bind(get_latest_artifact), true, {}});
}

}  // namespace gantry::server
