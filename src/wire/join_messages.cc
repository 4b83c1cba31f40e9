#include "wire/join_messages.h"

#include "wire/task_definition.h"

namespace gantry::wire {
namespace {

constexpr ObjectReader::TextRule identifier_rule{1, 38, is_identifier, "1 to 38 of [a-zA-Z0-9-_]"};
constexpr ObjectReader::TextRule queue_rule{3, 77, is_task_queue_id, "\"<provisionerId>/<workerType>\""};
constexpr ObjectReader::TextRule token_rule{1, join_token_bytes_max};
constexpr ObjectReader::TextRule secret_rule{1, 16 * 1024};

/// The signed part of an Enrolment, as Taskcluster spells credentials.
HawkCredentials read_credentials(ObjectReader& reader) {
  HawkCredentials credentials;
  const json::value* value = reader.require("credentials");
  if (!value) return credentials;
  ObjectReader fields(*value, "credentials");
  credentials.client_id = fields.required_text("clientId", secret_rule);
  credentials.access_token = fields.required_text("accessToken", secret_rule);
  credentials.certificate = fields.required_text("certificate", secret_rule);
  if (auto done = fields.finish(); !done) reader.fail(done.error());
  return credentials;
}

}  // namespace

std::string to_json(const JoinRequest& request) {
  std::string text;
  JsonWriter out(text);
  out.begin_object().field("token", request.token).field("nodeId", request.node.to_string());
  if (!request.worker_id.empty()) out.field("workerId", request.worker_id);
  out.end_object();
  return text;
}

std::string to_json(const Enrolment& enrolment) {
  std::string text;
  JsonWriter out(text);
  out.begin_object().key("credentials").begin_object();
  out.field("clientId", enrolment.credentials.client_id).field("accessToken", enrolment.credentials.access_token);
  out.field("certificate", enrolment.credentials.certificate).end_object();
  out.field("taskQueueId", enrolment.task_queue).field("workerGroup", enrolment.worker_group);
  out.field("workerId", enrolment.worker_id).field("issued", enrolment.issued).field("expires", enrolment.expires);
  out.end_object();
  return text;
}

Result<JoinRequest> parse_join_request(std::string_view body) {
  TRY(auto document, parse_json(body));
  ObjectReader reader(document, "");
  JoinRequest request;
  request.token = reader.required_text("token", token_rule);
  auto node = NodeId::parse(reader.required_text("nodeId", {}));
  if (!node) reader.fail("nodeId", "is not a slugid");
  request.worker_id = reader.text("workerId", identifier_rule, "");
  TRY(reader.finish());
  request.node = *node;
  return request;
}

Result<Enrolment> parse_enrolment(std::string_view body) {
  TRY(auto document, parse_json(body));
  ObjectReader reader(document, "");
  Enrolment enrolment;
  enrolment.credentials = read_credentials(reader);
  enrolment.task_queue = reader.required_text("taskQueueId", queue_rule);
  enrolment.worker_group = reader.required_text("workerGroup", identifier_rule);
  enrolment.worker_id = reader.required_text("workerId", identifier_rule);
  auto issued = reader.time("issued");
  auto expires = reader.time("expires");
  if (!issued) reader.fail("issued", "must be a time");
  if (!expires) reader.fail("expires", "must be a time");
  TRY(reader.finish());
  enrolment.issued = *issued;
  enrolment.expires = *expires;
  return enrolment;
}

}  // namespace gantry::wire
