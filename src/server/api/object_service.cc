// The object service (taskcluster.md 2.6).
#include "server/api/object_service.h"

#include <limits>
#include <set>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/crypto.h"
#include "base/sha512.h"
#include "base/text.h"
#include "core/objects/upload.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/auth/signed_url.h"

namespace gantry::server {
namespace {

using state::StoredObject;

constexpr std::size_t inline_text_bytes_max = 10'926;  // 8 KB in base64, with room for padding
constexpr std::int64_t object_bytes_max = std::int64_t{1} << 50;
constexpr std::size_t sweep_rows = 200;
constexpr Duration grant_term = hours(24);

/// Name in the object store. The uploadId is in it so that an upload cannot touch what another one of that name left.
std::string upload_object(const StoredObject& object) {
  return fmt::format("object/{}/{}", object.upload_id, object.name);
}

/// What the signature of an upload's URL is about.
std::string upload_subject(const std::string& upload_id, const std::string& name) {
  return fmt::format("upload/{}/{}", upload_id, name);
}

/// A body that is hashed on its way, off the io_context thread.
class HashedBody : public net::BodyReader {
 public:
  HashedBody(Env& env, std::shared_ptr<net::BodyReader> from) : env_(env), from_(std::move(from)) {}

  Async<std::string> read_some() override {
    std::string bytes = co_await from_->read_some();
    if (bytes.empty()) co_return bytes;
    bytes_ += static_cast<std::int64_t>(bytes.size());
    auto hash = [digests = digests_, piece = std::move(bytes)]() mutable {
      digests->sha256.update(piece);
      digests->sha512.update(piece);
      return std::move(piece);
    };
    co_return co_await env_.blocking(std::move(hash));
  }
  void keep(std::size_t bytes) override { from_->keep(bytes); }

  /// Once it has been read to its end.
  objects::Hashes hashes() { return {hex(digests_->sha256.finish()), digests_->sha512.finish()}; }
  std::int64_t bytes() const { return bytes_; }

 private:
  struct Digests {
    Sha256 sha256;
    Sha512 sha512;
  };
  Env& env_;
  std::shared_ptr<net::BodyReader> from_;
  std::shared_ptr<Digests> digests_ = std::make_shared<Digests>();
  std::int64_t bytes_ = 0;
};

/// Keeps two from writing one object at the same time, and a finish from overtaking a write.
class Writing {
 public:
  Writing(Services& services, const std::string& name) : services_(services), name_(name) {
    if (!services.objects_in_use.insert(name).second) {
      throw Error(ErrorCode::conflict, fmt::format("object \"{}\" is being written", shorten(name, 200)),
                  "wait for the upload to end");
    }
  }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;
  ~Writing() { services_.objects_in_use.erase(name_); }

 private:
  Services& services_;
  std::string name_;
};

object::ObjectStore& store_of(Services& services) {
  if (!services.objects) throw Error(ErrorCode::unavailable, "this server stores no objects");
  return *services.objects;
}

bool is_project(std::string_view text) {
  for (char c : text) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && std::string_view("._/-").find(c) == std::string_view::npos) return false;
  }
  return true;
}

bool is_lower_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

constexpr ObjectReader::TextRule project_rule{1, objects::project_bytes_max, is_project, "[a-zA-Z0-9._/-]"};
constexpr ObjectReader::TextRule type_rule{0, 255, is_printable_ascii, "printable ASCII", InputFault::meaning};

std::string read_upload_id(ObjectReader& reader) {
  std::string_view text = reader.required_text("uploadId", {});
  if (!SlugId<struct UploadTag>::parse(text)) reader.fail("uploadId", "must be a slugid");
  return std::string(text);
}

/// Algorithms that we do not know are left out, as newer clients may name them.
objects::Hashes read_hashes(ObjectReader& reader) {
  objects::Hashes hashes;
  const json::object* object = reader.object("hashes", 16);
  auto read = [&](std::string_view algorithm, std::size_t digits) {
    const json::value* value = object ? object->if_contains(algorithm) : nullptr;
    if (!value) return std::string();
    const json::string* text = value->if_string();
    bool right = text && text->size() == digits && is_lower_hex(*text);
    if (!right) reader.fail("hashes", fmt::format("{}: must be {} lower-case hex digits", algorithm, digits));
    return right ? std::string(*text) : std::string();
  };
  hashes.sha256 = read("sha256", 64);
  hashes.sha512 = read("sha512", 128);
  return hashes;
}

struct CreateUpload {
  objects::UploadRequest request;
  bool inline_data = false;
  bool put_url = false;
  std::string content_type;  // of the method that is taken
  std::string data;
  std::int64_t bytes = -1;
};

Result<void> read_inline(const json::value& value, CreateUpload& create) {
  ObjectReader reader(value, "proposedUploadMethods.dataInline");
  create.inline_data = true;
  create.content_type = reader.required_text("contentType", type_rule);
  auto data = base64_decode(reader.required_text("objectData", {0, inline_text_bytes_max}));
  if (!data || data->size() > objects::inline_bytes_max) {
    reader.contradict("objectData", fmt::format("must be base64 of at most {} bytes", objects::inline_bytes_max));
  }
  TRY(reader.finish());
  create.data = std::move(*data);
  return success();
}

Result<void> read_put_url(const json::value& value, CreateUpload& create) {
  ObjectReader reader(value, "proposedUploadMethods.putUrl");
  create.put_url = true;
  std::string type(reader.required_text("contentType", type_rule));
  std::int64_t bytes = reader.required_integer("contentLength", 0, std::numeric_limits<std::int64_t>::max());
  if (bytes > object_bytes_max) reader.contradict("contentLength", fmt::format("is more than {}", object_bytes_max));
  TRY(reader.finish());
  if (create.inline_data) return success();
  create.content_type = std::move(type);
  create.bytes = bytes;
  return success();
}

CreateUpload read_create_upload(const std::string& name, const std::string& body) {
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  CreateUpload create;
  create.request.name = name;
  create.request.project = reader.required_text("projectId", project_rule);
  create.request.upload_id = read_upload_id(reader);
  reader.require("expires");
  create.request.expires = reader.time("expires").value_or(Time());
  create.request.hashes = read_hashes(reader);
  const json::value* proposed = reader.require("proposedUploadMethods");
  value_or_throw(reader.finish());
  ObjectReader methods(*proposed, "proposedUploadMethods");
  auto read = [&](std::string_view key, Result<void> (*read_method)(const json::value&, CreateUpload&)) {
    const json::value* method = methods.find(key);
    if (!method) return;
    if (auto done = read_method(*method, create); !done) methods.fail(done.error());
  };
  read("dataInline", read_inline);
  read("putUrl", read_put_url);
  value_or_throw(methods.finish());
  return create;
}

void check_name(const std::string& name) {
  if (objects::is_object_name(name)) return;
  throw Error(ErrorCode::invalid_input,
              fmt::format("an object's name must be 1 to {} printable ASCII characters", objects::name_bytes_max))
      .with_fault(InputFault::arguments);
}

/// Erases the object of this name if it has expired: its bytes, then its record.
Async<> erase_if_expired(Services& services, std::string name) {
  co_await services.cold.ensure<StoredObject>(name);
  const auto* row = services.commits.state().table<StoredObject>().find(name);
  bool busy = services.objects_in_use.contains(name);
  if (!row || busy || !objects::has_expired(row->record, services.env.now())) co_return;
  Writing writing(services, name);
  if (services.objects) co_await services.objects->remove(upload_object(row->record));
  co_await services.cold.ensure<StoredObject>(name);
  auto tx = services.commits.begin();
  objects::erase_expired(tx, name);
  co_await services.commits.settled(services.commits.stage(tx));
}

/// Stores a body as the object's bytes. `writing` must be held.
Async<> receive(Services& services, StoredObject object, std::shared_ptr<net::BodyReader> from) {
  auto body = std::make_shared<HashedBody>(services.env, std::move(from));
  object::ObjectInfo info;
  info.content_type = object.content_type;
  co_await store_of(services).put(upload_object(object), info, body, object.bytes);
  co_await services.cold.ensure<StoredObject>(object.name);
  auto tx = services.commits.begin();
  auto noted = objects::note_received(tx, object.name, object.upload_id, body->bytes(), body->hashes());
  std::uint64_t version = services.commits.stage(tx, noted.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(noted));
}

void append_put_url(JsonWriter& out, const Services& services, const Call& call, const StoredObject& object) {
  Time expires = services.env.now() + auth::signed_url_life_max;
  std::string subject = upload_subject(object.upload_id, object.name);
  std::string query = auth::signed_url_query("PUT", subject, expires, services.object_key);
  std::string url = fmt::format("{}/v1/uploads/{}/{}?{}", base_url(services, call.request), object.upload_id,
                                net::percent_encode(object.name), query);
  out.key("putUrl").begin_object().field("url", url).field("expires", expires).key("headers").begin_object();
  out.field("Content-Type", object.content_type).field("Content-Length", std::to_string(object.bytes));
  out.end_object().end_object();
}

Async<net::Response> create_upload(Services& services, Call& call) {
  std::string name = call.parameter("name");
  check_name(name);
  std::string body = co_await json_body(call);
  CreateUpload create = read_create_upload(name, body);
  call.require(fmt::format("object:upload:{}:{}", create.request.project, name));
  if (!services.objects) throw Error(ErrorCode::unavailable, "this server stores no objects");
  co_await erase_if_expired(services, name);
  Writing writing(services, name);
  co_await services.cold.ensure<StoredObject>(name);
  auto tx = services.commits.begin();
  auto begun = objects::begin_upload(tx, create.request);
  std::int64_t bytes = create.inline_data ? static_cast<std::int64_t>(create.data.size()) : create.bytes;
  bool chosen = create.inline_data || create.put_url;
  StoredObject object;
  if (begun) {
    const StoredObject& now = *begun.value();
    bool again = now.received && now.content_type == create.content_type && now.bytes == bytes;
    if (chosen && !again) objects::expect_bytes(tx, name, create.content_type, bytes);
    object = *tx.find<StoredObject>(name);
  }
  std::uint64_t version = services.commits.stage(tx, begun.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(begun));
  if (create.inline_data) {
    co_await receive(services, object, std::make_shared<net::StringBody>(std::move(create.data)));
  }
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().field("projectId", object.project).field("uploadId", object.upload_id);
  out.field("expires", object.expires).key("uploadMethod").begin_object();
  if (create.inline_data) out.field("dataInline", true);
  if (create.put_url && !create.inline_data) append_put_url(out, services, call, object);
  out.end_object().end_object();
  co_return json_response(std::move(answer));
}

/// The bytes of an upload, by signed URL alone.
Async<net::Response> put_upload(Services& services, Call& call) {
  const std::string& name = call.parameter("name");
  const std::string& upload_id = call.parameter("uploadId");
  value_or_throw(auth::check_signed_url("PUT", upload_subject(upload_id, name), call.request.query(),
                                        services.env.now(), services.object_key));
  if (!call.request.headers.get("content-encoding").empty()) {
    throw Error(ErrorCode::invalid_input, "an object is uploaded as it is, without a Content-Encoding");
  }
  Writing writing(services, name);
  co_await services.cold.ensure<StoredObject>(name);
  auto tx = services.commits.begin();
  auto open = objects::open_upload(tx, name, upload_id);
  std::optional<StoredObject> object;
  if (open) object = *open.value();
  co_await services.commits.settled(services.commits.stage(tx));
  value_or_throw(std::move(open));
  co_await receive(services, std::move(*object), call.request.body);
  net::Response response;
  response.headers.add("etag", "\"stored\"");
  co_return response;
}

Async<net::Response> finish_upload(Services& services, Call& call) {
  std::string name = call.parameter("name");
  check_name(name);
  std::string body = co_await json_body(call);
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  std::string project(reader.required_text("projectId", project_rule));
  std::string upload_id = read_upload_id(reader);
  objects::Hashes hashes = read_hashes(reader);
  value_or_throw(reader.finish());
  call.require(fmt::format("object:upload:{}:{}", project, name));
  Writing writing(services, name);
  co_await services.cold.ensure<StoredObject>(name);
  auto tx = services.commits.begin();
  auto finished = objects::finish_upload(tx, name, project, upload_id, hashes);
  std::uint64_t version = services.commits.stage(tx, finished.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(finished));
  co_return json_response("{}");
}

Async<StoredObject> finished_object(Services& services, std::string name) {
  check_name(name);
  co_await services.cold.ensure<StoredObject>(name);
  auto tx = services.commits.begin();
  auto found = objects::find_object(tx, name);
  std::optional<StoredObject> object;
  if (found) object = *found.value();
  co_await services.commits.settled(services.commits.stage(tx));
  value_or_throw(std::move(found));
  co_return std::move(*object);
}

std::string read_url(const Services& services, const std::string& base, const StoredObject& object, Time expires) {
  std::string stored = upload_object(object);
  return fmt::format("{}/v1/objects/{}?{}", base, net::percent_encode(stored),
                     auth::signed_url_query("GET", stored, expires, services.object_key));
}

void append_hashes(JsonWriter& out, const StoredObject& object) {
  out.key("hashes").begin_object().field("sha256", object.sha256).field("sha512", object.sha512).end_object();
}

/// True if the method is among those that the client accepts.
bool accepts(ObjectReader& methods, std::string_view method) {
  const json::value* value = methods.find(method);
  bool accepted = value && value->is_bool() && value->get_bool();
  if (value && !accepted) methods.fail(method, "must be true");
  return accepted;
}

/// Taskcluster's only 406.
net::Response no_matching_method(const Call& call, Time now) {
  std::string when = format_time(now);
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("code", "NoMatchingMethod");
  out.field("message", fmt::format("Object supports methods getUrl, simple\n\n---\n\n* method:     {}\n"
                                   "* errorCode:  NoMatchingMethod\n* statusCode: 406\n* time:       {}",
                                   call.route->name, when));
  out.key("requestInfo").begin_object().field("method", call.route->name).key("params").begin_object();
  out.field("name", call.parameter("name")).end_object().key("payload").begin_object().end_object();
  out.field("time", when).end_object().end_object();
  return json_response(std::move(body), 406);
}

Async<net::Response> start_download(Services& services, Call& call) {
  std::string name = call.parameter("name");
  call.require("object:download:" + name);
  std::string body = co_await json_body(call);
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  const json::value* accepted = reader.require("acceptDownloadMethods");
  value_or_throw(reader.finish());
  ObjectReader methods(*accepted, "acceptDownloadMethods");
  bool get_url = accepts(methods, "getUrl");
  bool simple = accepts(methods, "simple");
  value_or_throw(methods.finish());
  StoredObject object = co_await finished_object(services, name);
  if (!get_url && !simple) co_return no_matching_method(call, services.env.now());
  Time expires = services.env.now() + auth::signed_url_life_max;
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().field("method", get_url ? "getUrl" : "simple");
  out.field("url", read_url(services, base_url(services, call.request), object, expires));
  if (get_url) {
    out.field("expires", expires);
    append_hashes(out, object);
  }
  out.end_object();
  co_return json_response(std::move(answer));
}

Async<net::Response> object_metadata(Services& services, Call& call) {
  const std::string& name = call.parameter("name");
  call.require("object:download:" + name);
  StoredObject object = co_await finished_object(services, name);
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().field("projectId", object.project).field("expires", object.expires);
  append_hashes(out, object);
  out.end_object();
  co_return json_response(std::move(answer));
}

Async<net::Response> download(Services& services, Call& call) {
  const std::string& name = call.parameter("name");
  call.require("object:download:" + name);
  net::Response response;
  response.status = 303;
  std::string url = co_await object_url(services, base_url(services, call.request), name);
  response.headers.add("location", std::move(url));
  co_return response;
}

void append_grant(JsonWriter& out, const Services& services, const std::string& client, const std::string& scope) {
  Time now = services.env.now();
  auto grant = services.authenticator.issue_temporary(client, std::vector<std::string>{scope},
                                                      now - auth::certificate_clock_tolerance, now + grant_term,
                                                      auth::random_certificate_seed(services.env));
  out.key("credentials").begin_object().field("clientId", grant.client_id);
  out.field("accessToken", grant.access_token).field("certificate", grant.certificate).end_object();
}

}  // namespace

std::string artifact_upload_name(const state::ArtifactId& id) {
  return fmt::format("t/{}/{}/{}", id.task.to_string(), id.run, id.name);
}

void append_upload_grant(JsonWriter& out, const Services& services, const state::Artifact& artifact,
                         const std::string& project, const std::string& worker) {
  std::string name = artifact_upload_name(artifact.id);
  out.field("name", name).field("projectId", project).field("uploadId", artifact.target);
  out.field("expires", artifact.expires);
  std::string client =
      fmt::format("artifact-upload/{}/{}/on/{}", artifact.id.task.to_string(), artifact.id.run, worker);
  append_grant(out, services, client, fmt::format("object:upload:{}:{}", project, name));
}

void append_download_grant(JsonWriter& out, const Services& services, const state::Artifact& artifact) {
  std::string name = artifact_upload_name(artifact.id);
  std::string client = fmt::format("artifact-download/{}/{}", artifact.id.task.to_string(), artifact.id.run);
  out.field("name", name);
  append_grant(out, services, client, "object:download:" + name);
}

Async<std::string> object_url(Services& services, std::string base, std::string name) {
  StoredObject object = co_await finished_object(services, std::move(name));
  co_return read_url(services, base, object, services.env.now() + auth::signed_url_life_max);
}

Async<bool> sweep_objects(Services& services, SweepCursor& cursor) {
  auto rows = co_await services.cold.scan(state::TableId::object, cursor.after, sweep_rows);
  Time now = services.env.now();
  for (const auto& row : rows) {
    auto object = value_or_throw(state::decode<StoredObject>(row.key, row.value));
    if (objects::has_expired(object, now)) co_await erase_if_expired(services, object.name);
  }
  bool end = rows.size() < sweep_rows;
  cursor.after = end ? std::nullopt : std::optional(rows.back().key);
  co_return end;
}

void add_object_service_routes(Router& router, Services& services) {
  Bind bind{services};
  const std::string base = "/api/object/v1";
  using enum net::Method;
  auto tc = Dialect::taskcluster;
  router.add({put, base + "/upload/*name", "createUpload", tc, bind(create_upload), true, {}});
  router.add({post, base + "/finish-upload/*name", "finishUpload", tc, bind(finish_upload), true, {}});
  router.add({put, base + "/start-download/*name", "startDownload", tc, bind(start_download), true, {}});
  router.add({get, base + "/metadata/*name", "object", tc, bind(object_metadata), true, {}});
  router.add({get, base + "/download/*name", "download", tc, bind(download), true, {}});
  std::vector<std::string> keys = {"expires", "signature"};
  router.add({put, "/v1/uploads/:uploadId/*name", "putUpload", Dialect::native, bind(put_upload), false, keys});
}

}  // namespace gantry::server
