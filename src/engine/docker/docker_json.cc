#include "engine/docker/docker_json.h"

#include <algorithm>
#include <charconv>
#include <climits>
#include <cmath>
#include <limits>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "engine/docker/limits.h"
#include "net/http.h"

namespace gantry::engine::docker {

namespace json = boost::json;

namespace {

// The whole log must be there after a restart of the agent, whatever the engine's own defaults for rotation are: an
// engine adds its defaults to every option that is not given, and takes no "unlimited", so this is 10^15 bytes.
constexpr std::string_view log_size_unlimited = "1p";
constexpr std::string_view icc_option = "com.docker.network.bridge.enable_icc";

[[noreturn]] void unexpected(std::string_view what) {
  throw Error(ErrorCode::unsupported, fmt::format("the Docker engine's answer has {}", what),
              "is this address really a Docker engine?");
}

json::value parse(std::string_view body) {
  boost::system::error_code failed;
  json::value value = json::parse(body, failed);
  if (failed) unexpected(fmt::format("no valid JSON: \"{}\"", body.substr(0, 80)));
  return value;
}

json::object parse_object(std::string_view body) {
  json::value value = parse(body);
  if (!value.is_object()) unexpected("no object");
  return std::move(value.get_object());
}

json::array parse_array(std::string_view body) {
  json::value value = parse(body);
  if (value.is_null()) return {};  // Go's empty list
  if (!value.is_array()) unexpected("no list");
  return std::move(value.get_array());
}

const json::object& as_object(const json::value& value, std::string_view what) {
  if (!value.is_object()) unexpected(fmt::format("no object as {}", what));
  return value.get_object();
}

const json::object& object_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value) unexpected(fmt::format("no {}", key));
  return as_object(*value, key);
}

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_string()) unexpected(fmt::format("no text {}", key));
  return {value->get_string().data(), value->get_string().size()};
}

std::string optional_text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string().data(), value->get_string().size())
                                     : std::string();
}

template <class Number>
Number number_at(const json::object& object, std::string_view key, Number min) {
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_int64()) unexpected(fmt::format("no number {}", key));
  std::int64_t number = value->get_int64();
  if (number < min || number > std::numeric_limits<Number>::max()) unexpected(fmt::format("{} = {}", key, number));
  return static_cast<Number>(number);
}

bool flag_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_bool() && value->get_bool();
}

/// Go's zero time is the year 1: not yet.
Time time_at(const json::object& object, std::string_view key) {
  auto time = parse_time(optional_text_at(object, key));
  return time && *time > Time() ? *time : Time();
}

std::map<std::string, std::string> labels_at(const json::object& object, std::string_view key) {
  std::map<std::string, std::string> labels;
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_object()) return labels;
  for (const auto& [name, text] : value->get_object()) {
    if (text.is_string()) labels.emplace(name, std::string(text.get_string().data(), text.get_string().size()));
  }
  return labels;
}

/// 0 to 999, or -1.
int parse_version_part(std::string_view text) {
  int number = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && number < 1000 ? number : -1;
}

int parse_api_version(std::string_view text) {
  std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return 0;
  int major = parse_version_part(text.substr(0, dot));
  int minor = parse_version_part(text.substr(dot + 1));
  return major >= 0 && minor >= 0 ? major * 1000 + minor : 0;
}

json::object host_config(const ContainerSpec& spec) {
  json::object host;
  host["Init"] = spec.init;
  // "local" keeps every byte; json-file would replace what is not UTF-8, and the agent skips by bytes after a restart.
  json::object log_options{{"max-size", log_size_unlimited}, {"max-file", "1"}, {"compress", "false"}};
  host["LogConfig"] = json::object{{"Type", "local"}, {"Config", std::move(log_options)}};
  host["SecurityOpt"] = json::array{"no-new-privileges"};
  if (!spec.network.empty()) host["NetworkMode"] = spec.network;
  if (spec.limits.memory_bytes > 0) {
    host["Memory"] = spec.limits.memory_bytes;
    host["MemorySwap"] = spec.limits.memory_bytes;  // memory and swap together: no swap on top
  }
  if (spec.limits.cpus > 0) host["NanoCpus"] = static_cast<std::int64_t>(std::llround(spec.limits.cpus * 1e9));
  if (spec.limits.pids > 0) host["PidsLimit"] = spec.limits.pids;
  return host;
}

}  // namespace

std::string container_create_json(const ContainerSpec& spec) {
  json::object body;
  body["Image"] = spec.image;
  if (!spec.command.empty()) body["Cmd"] = json::array(spec.command.begin(), spec.command.end());
  json::array env;
  for (const auto& [name, value] : spec.env) env.emplace_back(fmt::format("{}={}", name, value));
  body["Env"] = std::move(env);
  json::object labels;
  for (const auto& [name, value] : spec.labels) labels[name] = value;
  body["Labels"] = std::move(labels);
  body["Tty"] = false;
  body["AttachStdout"] = true;
  body["AttachStderr"] = true;
  body["HostConfig"] = host_config(spec);
  return json::serialize(body);
}

std::string network_create_json(std::string_view name) {
  json::object body;
  body["Name"] = name;
  body["CheckDuplicate"] = true;
  body["Driver"] = "bridge";
  body["Options"] = json::object{{icc_option, "false"}};
  body["Labels"] = json::object{{"gantry", "1"}};
  return json::serialize(body);
}

std::string filters_json(std::string_view filter, std::string_view value) {
  json::object filters;
  filters[filter] = json::array{value};
  return json::serialize(filters);
}

std::string parse_id(std::string_view body) { return text_at(parse_object(body), "Id"); }

ContainerState parse_container_state(std::string_view body) {
  json::object object = parse_object(body);
  const json::object& from = object_at(object, "State");
  ContainerState state;
  state.id = text_at(object, "Id");
  state.running = flag_at(from, "Running");
  state.created_only = text_at(from, "Status") == "created";
  state.exit_code = number_at(from, "ExitCode", INT_MIN);
  state.out_of_memory = flag_at(from, "OOMKilled");
  state.started = time_at(from, "StartedAt");
  state.finished = time_at(from, "FinishedAt");
  return state;
}

std::vector<ContainerSummary> parse_container_list(std::string_view body) {
  std::vector<ContainerSummary> containers;
  for (const json::value& value : parse_array(body)) {
    const json::object& from = as_object(value, "a container");
    ContainerSummary container;
    container.id = text_at(from, "Id");
    container.running = text_at(from, "State") == "running";
    container.labels = labels_at(from, "Labels");
    const json::value* names = from.if_contains("Names");
    if (names && names->is_array() && !names->get_array().empty() && names->get_array()[0].is_string()) {
      const json::string& name = names->get_array()[0].get_string();
      std::string_view text(name.data(), name.size());
      container.name = text.substr(text.starts_with('/') ? 1 : 0);
    }
    containers.push_back(std::move(container));
  }
  return containers;
}

WaitResult parse_wait(std::string_view body) {
  json::object object = parse_object(body);
  WaitResult result;
  result.exit_code = number_at(object, "StatusCode", INT_MIN);
  const json::value* error = object.if_contains("Error");
  if (error && error->is_object()) result.error = optional_text_at(error->get_object(), "Message");
  return result;
}

std::vector<Network> parse_networks(std::string_view body) {
  std::vector<Network> networks;
  for (const json::value& value : parse_array(body)) {
    const json::object& from = as_object(value, "a network");
    Network network;
    network.id = text_at(from, "Id");
    network.name = text_at(from, "Name");
    auto options = labels_at(from, "Options");
    auto icc = options.find(std::string(icc_option));
    network.isolated = text_at(from, "Driver") == "bridge" && icc != options.end() && icc->second == "false";
    networks.push_back(std::move(network));
  }
  return networks;
}

Version parse_version(std::string_view body) {
  json::object object = parse_object(body);
  Version version;
  version.engine = optional_text_at(object, "Version");
  version.api = parse_api_version(text_at(object, "ApiVersion"));
  version.api_min = parse_api_version(optional_text_at(object, "MinAPIVersion"));
  return version;
}

void parse_info(std::string_view body, EngineInfo& info) {
  json::object object = parse_object(body);
  info.cpus = number_at(object, "NCPU", 0);
  info.memory_bytes = number_at(object, "MemTotal", std::int64_t{0});
  info.cgroup_version = optional_text_at(object, "CgroupVersion") == "2" ? 2 : 1;  // before 1.41 there was only 1
}

int negotiate_version(const Version& version) {
  int speak = std::min(version.api, api_version_max);
  if (speak >= api_version_min && speak >= version.api_min) return speak;
  throw Error(ErrorCode::unsupported,
              fmt::format("the Docker engine ({}) speaks API versions {}.{} to {}.{}; Gantry speaks {}.{} to {}.{}",
                          version.engine, version.api_min / 1000, version.api_min % 1000, version.api / 1000,
                          version.api % 1000, api_version_min / 1000, api_version_min % 1000, api_version_max / 1000,
                          api_version_max % 1000),
              version.api < api_version_min ? "upgrade Docker to 18.09 or later" : "upgrade Gantry");
}

std::string version_prefix(int version) { return fmt::format("/v{}.{}", version / 1000, version % 1000); }

std::string error_text(int status, std::string_view body) {
  boost::system::error_code failed;
  json::value value = json::parse(body, failed);
  std::string text;
  if (!failed && value.is_object()) text = optional_text_at(value.get_object(), "message");
  if (text.empty()) text = fmt::format("HTTP status {} {}", status, net::status_text(status));
  if (text.size() > error_text_bytes_max) text.resize(error_text_bytes_max);
  return text;
}

Error status_error(int status, std::string_view body, std::string_view what) {
  ErrorCode code = ErrorCode::unsupported;  // a redirection, or a success of another kind than the API's
  if (status == 400) code = ErrorCode::invalid_input;
  if (status == 401 || status == 403) code = ErrorCode::not_authorized;
  if (status == 404) code = ErrorCode::not_found;
  if (status == 409) code = ErrorCode::conflict;
  if (status >= 500) code = ErrorCode::unavailable;
  return Error(code, fmt::format("docker: {}: {}", what, error_text(status, body)));
}

}  // namespace gantry::engine::docker
