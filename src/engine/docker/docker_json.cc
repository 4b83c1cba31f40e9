#include "engine/docker/docker_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cmath>
#include <limits>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/base64.h"
#include "engine/docker/limits.h"
#include "net/http.h"

namespace gantry::engine::docker {

namespace json = boost::json;

namespace {

// The whole log must be there after a restart of the agent, whatever the engine's own defaults for rotation are: an
// engine adds its defaults to every option that is not given, and takes no "unlimited", so this is 10^15 bytes.
constexpr std::string_view log_size_unlimited = "1p";
constexpr std::string_view icc_option = "com.docker.network.bridge.enable_icc";
constexpr std::string_view bridge_option = "com.docker.network.bridge.name";
constexpr std::size_t bridge_id_characters = 12;  // of the network's id, in the name of its bridge

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

/// The strings of a list; whatever else is in it is left out.
std::vector<std::string> texts_at(const json::object& object, std::string_view key) {
  std::vector<std::string> texts;
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_array()) return texts;
  for (const json::value& text : value->get_array()) {
    if (text.is_string()) texts.emplace_back(text.get_string().data(), text.get_string().size());
  }
  return texts;
}

const json::object* optional_object_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_object() ? &value->get_object() : nullptr;
}

/// In seconds since 1970; not there or not a time: 1970.
Time unix_time_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_int64()) return Time();
  std::int64_t seconds = value->get_int64();
  bool fits = seconds >= 0 && seconds <= to_ms(time_max) / 1000;
  return fits ? time_from_ms(seconds * 1000) : Time();
}

json::array strings(const std::vector<std::string>& texts) { return json::array(texts.begin(), texts.end()); }

json::object labels_json(const std::map<std::string, std::string>& labels) {
  json::object object;
  for (const auto& [name, value] : labels) object[name] = value;
  return object;
}

json::array env_json(const std::vector<std::pair<std::string, std::string>>& variables) {
  json::array env;
  for (const auto& [name, value] : variables) env.emplace_back(fmt::format("{}={}", name, value));
  return env;
}

json::array mounts_json(const std::vector<Mount>& mounts) {
  json::array list;
  for (const Mount& mount : mounts) {
    list.push_back(json::object{{"Type", mount.type == Mount::Type::volume ? "volume" : "bind"},
                                {"Source", mount.source},
                                {"Target", mount.target},
                                {"ReadOnly", mount.read_only}});
  }
  return list;
}

json::array devices_json(const std::vector<Device>& devices) {
  json::array list;
  for (const Device& device : devices) {
    list.push_back(
        json::object{{"PathOnHost", device.host_path},
                     {"PathInContainer", device.container_path.empty() ? device.host_path : device.container_path},
                     {"CgroupPermissions", device.permissions}});
  }
  return list;
}

void add_access(const ContainerSpec& spec, json::object& host) {
  json::array options;
  if (spec.privileged) {
    host["Privileged"] = true;
  } else {
    options.emplace_back("no-new-privileges");
  }
  if (spec.all_system_calls) options.emplace_back("seccomp=unconfined");
  if (!options.empty()) host["SecurityOpt"] = std::move(options);
  if (!spec.capabilities_add.empty()) host["CapAdd"] = strings(spec.capabilities_add);
  if (!spec.capabilities_drop.empty()) host["CapDrop"] = strings(spec.capabilities_drop);
  if (!spec.devices.empty()) host["Devices"] = devices_json(spec.devices);
  if (!spec.mounts.empty()) host["Mounts"] = mounts_json(spec.mounts);
}

void add_network(const ContainerSpec& spec, json::object& host) {
  if (!spec.network_of.empty()) {
    host["NetworkMode"] = "container:" + spec.network_of;
  } else if (!spec.network.empty()) {
    host["NetworkMode"] = spec.network;
  }
  if (spec.extra_hosts.empty()) return;
  json::array hosts;
  for (const auto& [name, address] : spec.extra_hosts) hosts.emplace_back(fmt::format("{}:{}", name, address));
  host["ExtraHosts"] = std::move(hosts);
}

json::object host_config(const ContainerSpec& spec) {
  json::object host;
  host["Init"] = spec.init;
  // "local" keeps every byte; json-file would replace what is not UTF-8, and the agent skips by bytes after a restart.
  json::object log_options{{"max-size", log_size_unlimited}, {"max-file", "1"}, {"compress", "false"}};
  host["LogConfig"] = json::object{{"Type", "local"}, {"Config", std::move(log_options)}};
  add_access(spec, host);
  add_network(spec, host);
  if (spec.limits.memory_bytes > 0) {
    host["Memory"] = spec.limits.memory_bytes;
    host["MemorySwap"] = spec.limits.memory_bytes;  // memory and swap together: no swap on top
  }
  if (spec.limits.cpus > 0) host["NanoCpus"] = static_cast<std::int64_t>(std::llround(spec.limits.cpus * 1e9));
  if (spec.limits.pids > 0) host["PidsLimit"] = spec.limits.pids;
  if (!spec.cpuset.empty()) host["CpusetCpus"] = spec.cpuset;
  if (spec.shm_bytes > 0) host["ShmSize"] = spec.shm_bytes;
  if (spec.disk_bytes > 0) host["StorageOpt"] = json::object{{"size", fmt::to_string(spec.disk_bytes)}};
  return host;
}

}  // namespace

std::string container_create_json(const ContainerSpec& spec) {
  json::object body;
  body["Image"] = spec.image;
  if (!spec.command.empty()) body["Cmd"] = strings(spec.command);
  if (!spec.entrypoint.empty()) body["Entrypoint"] = strings(spec.entrypoint);
  if (!spec.working_directory.empty()) body["WorkingDir"] = spec.working_directory;
  if (!spec.user.empty()) body["User"] = spec.user;
  body["Env"] = env_json(spec.env);
  body["Labels"] = labels_json(spec.labels);
  body["Tty"] = spec.tty;
  if (spec.open_stdin) body["OpenStdin"] = true;
  body["AttachStdout"] = true;
  body["AttachStderr"] = true;
  body["HostConfig"] = host_config(spec);
  return json::serialize(body);
}

std::string exec_create_json(const ExecSpec& spec) {
  json::object body;
  body["Cmd"] = strings(spec.command);
  body["Env"] = env_json(spec.env);
  body["Tty"] = spec.tty;
  body["AttachStdin"] = spec.open_stdin;
  body["AttachStdout"] = true;
  body["AttachStderr"] = true;
  if (!spec.user.empty()) body["User"] = spec.user;
  if (!spec.working_directory.empty()) body["WorkingDir"] = spec.working_directory;
  return json::serialize(body);
}

std::string exec_start_json(const ExecSpec& spec) {
  return json::serialize(json::object{{"Detach", false}, {"Tty", spec.tty}});
}

std::string volume_create_json(std::string_view name, const std::map<std::string, std::string>& labels) {
  return json::serialize(json::object{{"Name", name}, {"Driver", "local"}, {"Labels", labels_json(labels)}});
}

std::string registry_auth(const RegistryLogin& login) {
  std::string text = base64_encode(json::serialize(
      json::object{{"username", login.username}, {"password", login.password}, {"serveraddress", login.server}}));
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;  // base64url, but with the padding that Docker wants
  return text;
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

namespace {

/// The first one that is an address: newer engines write "invalid IP" for none.
std::string address_of(const json::object& settings) {
  auto usable = [](const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789abcdefABCDEF.:") == std::string::npos;
  };
  if (std::string address = optional_text_at(settings, "IPAddress"); usable(address)) return address;
  const json::object* networks = optional_object_at(settings, "Networks");
  if (!networks) return {};
  for (const auto& [name, network] : *networks) {
    if (!network.is_object()) continue;
    if (std::string address = optional_text_at(network.get_object(), "IPAddress"); usable(address)) return address;
  }
  return {};
}

}  // namespace

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
  if (const json::value* pid = from.if_contains("Pid"); pid && pid->is_int64()) {
    state.pid = static_cast<int>(std::clamp<std::int64_t>(pid->get_int64(), 0, INT_MAX));
  }
  if (const json::object* config = optional_object_at(object, "Config")) state.tty = flag_at(*config, "Tty");
  if (const json::object* network = optional_object_at(object, "NetworkSettings")) state.address = address_of(*network);
  return state;
}

StoredRoot parse_stored_root(std::string_view body) {
  json::object object = parse_object(body);
  StoredRoot root;
  root.running = flag_at(object_at(object, "State"), "Running");
  if (const json::object* driver = optional_object_at(object, "GraphDriver")) {
    const json::object* data = optional_object_at(*driver, "Data");
    if (data && optional_text_at(*driver, "Name") == "overlay2") root.upper = optional_text_at(*data, "UpperDir");
  }
  if (const json::value* mounts = object.if_contains("Mounts"); mounts && mounts->is_array()) {
    for (const json::value& mount : mounts->get_array()) {
      root.mounts.push_back(text_at(as_object(mount, "a mount"), "Destination"));
    }
  }
  const json::object* host = optional_object_at(object, "HostConfig");
  const json::object* memory = host ? optional_object_at(*host, "Tmpfs") : nullptr;
  if (memory) {
    for (const auto& [path, options] : *memory) root.mounts.emplace_back(path);
  }
  return root;
}

std::vector<ContainerSummary> parse_container_list(std::string_view body) {
  std::vector<ContainerSummary> containers;
  for (const json::value& value : parse_array(body)) {
    const json::object& from = as_object(value, "a container");
    ContainerSummary container;
    container.id = text_at(from, "Id");
    container.running = text_at(from, "State") == "running";
    container.labels = labels_at(from, "Labels");
    container.created = unix_time_at(from, "Created");
    container.image_id = optional_text_at(from, "ImageID");
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

namespace {

ImageInfo image_of(const json::object& from) {
  ImageInfo image;
  image.id = text_at(from, "Id");
  image.tags = texts_at(from, "RepoTags");
  image.digests = texts_at(from, "RepoDigests");
  auto is_none = [](const std::string& text) { return text.starts_with("<none>"); };
  std::erase_if(image.tags, is_none);
  std::erase_if(image.digests, is_none);
  image.bytes = number_at(from, "Size", std::int64_t{0});
  return image;
}

}  // namespace

ImageInfo parse_image(std::string_view body) {
  json::object object = parse_object(body);
  ImageInfo image = image_of(object);
  image.created = time_at(object, "Created");
  if (const json::object* config = optional_object_at(object, "Config")) image.labels = labels_at(*config, "Labels");
  return image;
}

std::vector<ImageInfo> parse_image_list(std::string_view body) {
  std::vector<ImageInfo> images;
  for (const json::value& value : parse_array(body)) {
    const json::object& from = as_object(value, "an image");
    images.push_back(image_of(from));
    images.back().created = unix_time_at(from, "Created");
    images.back().labels = labels_at(from, "Labels");
  }
  return images;
}

std::vector<VolumeInfo> parse_volume_list(std::string_view body) {
  json::object object = parse_object(body);
  const json::value* list = object.if_contains("Volumes");
  if (!list || !(list->is_array() || list->is_null())) unexpected("no list Volumes");
  std::vector<VolumeInfo> volumes;
  if (list->is_null()) return volumes;
  for (const json::value& value : list->get_array()) {
    const json::object& from = as_object(value, "a volume");
    volumes.push_back({text_at(from, "Name"), labels_at(from, "Labels"), time_at(from, "CreatedAt")});
  }
  return volumes;
}

LoadResult parse_load(std::string_view body) {
  constexpr std::array<std::string_view, 2> said_before = {"Loaded image: ", "Loaded image ID: "};
  LoadResult result;
  while (!body.empty()) {
    std::string_view line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(body.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    json::object object = parse_object(line);
    if (object.contains("error") || object.contains("errorDetail")) {
      result.error = optional_text_at(object, "error").substr(0, error_text_bytes_max);
      if (result.error.empty()) result.error = "the engine gave no reason";
    }
    std::string said = optional_text_at(object, "stream");
    for (std::string_view before : said_before) {
      if (!said.starts_with(before)) continue;
      std::string image = said.substr(before.size());
      image.erase(std::min(image.size(), image.find_first_of(" \r\n")));
      if (!image.empty()) result.images.push_back(std::move(image));
    }
  }
  return result;
}

ExecState parse_exec_state(std::string_view body) {
  json::object object = parse_object(body);
  ExecState state;
  state.running = flag_at(object, "Running");
  const json::value* code = object.if_contains("ExitCode");
  if (code && !code->is_null()) state.exit_code = number_at(object, "ExitCode", INT_MIN);
  return state;
}

NetworkInfo parse_network_info(std::string_view body) {
  json::object object = parse_object(body);
  NetworkInfo info;
  auto options = labels_at(object, "Options");
  std::string id = optional_text_at(object, "Id");
  if (auto name = options.find(std::string(bridge_option)); name != options.end()) {
    info.bridge = name->second;
  } else if (id.size() >= bridge_id_characters) {
    info.bridge = "br-" + id.substr(0, bridge_id_characters);
  }
  const json::object* ipam = optional_object_at(object, "IPAM");
  const json::value* configs = ipam ? ipam->if_contains("Config") : nullptr;
  if (!configs || !configs->is_array() || configs->get_array().empty()) return info;
  const json::object& config = as_object(configs->get_array()[0], "a network's addresses");
  info.subnet = optional_text_at(config, "Subnet");
  info.gateway = optional_text_at(config, "Gateway");
  info.gateway.erase(std::min(info.gateway.size(), info.gateway.find('/')));  // some engines add the prefix's length
  return info;
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
  info.data_root = optional_text_at(object, "DockerRootDir");
  info.storage_driver = optional_text_at(object, "Driver");
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
