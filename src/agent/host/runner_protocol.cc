#include "agent/host/runner_protocol.h"

#include "agent/host/limits.h"
#include "base/text.h"

namespace gantry::agent {
namespace {

/// Each byte of a text may become six in JSON; a pipe takes 4096 bytes as one piece.
constexpr std::size_t title_bytes_max = 120;
constexpr std::size_t text_bytes_max = 500;

std::string text_of(const json::object& message, std::string_view key) {
  const json::value* value = message.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : "";
}

std::vector<std::string> capabilities_of(const json::object& message) {
  std::vector<std::string> capabilities;
  const json::value* value = message.if_contains("capabilities");
  if (!value || !value->is_array()) return capabilities;
  for (const json::value& name : value->get_array()) {
    if (capabilities.size() == runner_capabilities_max) break;
    if (name.is_string()) capabilities.emplace_back(name.get_string());
  }
  return capabilities;
}

RunnerMessage read_message(const json::object& object) {
  RunnerMessage message;
  std::string type = text_of(object, "type");
  if (type == "welcome") {
    message.kind = RunnerMessage::Kind::welcome;
    message.capabilities = capabilities_of(object);
  } else if (type == "graceful-termination") {
    message.kind = RunnerMessage::Kind::graceful_termination;
    const json::value* finish = object.if_contains("finish-tasks");
    message.finish_tasks = finish && finish->is_bool() && finish->get_bool();
  } else if (type == "new-credentials") {
    message.credentials = {text_of(object, "client-id"), text_of(object, "access-token"),
                           text_of(object, "certificate")};
    bool complete = !message.credentials.client_id.empty() && !message.credentials.access_token.empty();
    if (complete) message.kind = RunnerMessage::Kind::new_credentials;
  }
  return message;
}

std::string line_of(const std::string& document) { return "~" + document + "\n"; }

}  // namespace

void RunnerLines::add(std::string_view bytes) {
  if (skipping_) {
    std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    skipping_ = false;
  }
  waiting_ += bytes;
}

std::optional<std::string> RunnerLines::next() {
  for (;;) {
    std::size_t end = waiting_.find('\n');
    if (end == std::string::npos) {
      if (waiting_.size() > runner_line_bytes_max) {
        waiting_.clear();
        skipping_ = true;
      }
      return std::nullopt;
    }
    std::string line = waiting_.substr(0, end);
    waiting_.erase(0, end + 1);
    if (line.size() <= runner_line_bytes_max) return line;
  }
}

std::optional<RunnerMessage> parse_runner_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!line.starts_with("~{") || !line.ends_with('}')) return std::nullopt;
  auto document = parse_json(line.substr(1));
  if (!document || !document.value().is_object()) return std::nullopt;
  return read_message(document.value().get_object());
}

std::string runner_hello(const std::vector<std::string>& capabilities) {
  std::string document;
  JsonWriter out(document);
  out.begin_object().field("type", "hello").key("capabilities").begin_array();
  for (const std::string& name : capabilities) out.string(name);
  out.end_array().end_object();
  return line_of(document);
}

std::string runner_shutdown() { return line_of(R"({"type":"shutdown"})"); }

std::string runner_error_report(std::string_view title, std::string_view description) {
  std::string document;
  JsonWriter out(document);
  out.begin_object().field("type", "error-report").field("kind", "worker-error");
  out.field("title", shorten(title, title_bytes_max)).field("description", shorten(description, text_bytes_max));
  out.key("extra").begin_object().end_object().end_object();
  return line_of(document);
}

std::string runner_log(std::string_view text) {
  std::string document;
  JsonWriter out(document);
  out.begin_object().field("type", "log").key("body").begin_object();
  out.field("textPayload", shorten(text, text_bytes_max)).end_object().end_object();
  return line_of(document);
}

}  // namespace gantry::agent
