#include "wire/payload_keys.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/ids.h"
#include "base/text.h"
#include "wire/payload.h"

namespace gantry::wire {
namespace {

using Type = ValueShape::Type;

bool no_nul(std::string_view text) { return text.find('\0') == std::string_view::npos; }
bool is_absolute_path(std::string_view path) { return path.starts_with('/') && no_nul(path); }
bool is_env_name(std::string_view name) { return no_nul(name) && name.find('=') == std::string_view::npos; }
bool is_cache_name(std::string_view name) {
  return is_printable_ascii(name) && name.find("::") == std::string_view::npos;
}
bool is_task_id(std::string_view text) { return TaskId::parse(text).has_value(); }

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_of_side_container(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_'; });
}

/// What an engine takes for a reference; keeps spaces, control characters and flags out ("-" first).
bool is_image_reference(std::string_view image) {
  if (image.empty() || image.front() == '-' || image.front() == '/') return false;
  return std::ranges::all_of(
      image, [](char c) { return is_letter_or_digit(c) || std::string_view("._-/:@+").find(c) != std::string::npos; });
}

/// Words between single dots.
bool is_namespace(std::string_view text) {
  if (text.empty() || text.front() == '.' || text.back() == '.' || text.find("..") != std::string_view::npos) {
    return false;
  }
  return std::ranges::all_of(text, [](char c) {
    return is_letter_or_digit(c) || std::string_view("._!~*'()%-").find(c) != std::string::npos;
  });
}

bool is_web_url(std::string_view text) {
  if (!text.starts_with("http://") && !text.starts_with("https://")) return false;
  text.remove_prefix(text.find("//") + 2);
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

bool is_base64_text(std::string_view text) {
  for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return is_letter_or_digit(c) || c == '+' || c == '/'; });
}

/// What parse_bytes() reads, whatever the number.
bool is_size_text(std::string_view text) {
  std::size_t digits = 0;
  std::size_t dots = 0;
  for (; !text.empty() && (is_digit(text.front()) || (text.front() == '.' && dots == 0)); text.remove_prefix(1)) {
    ++(text.front() == '.' ? dots : digits);
  }
  auto drop = [&text](std::string_view letters) {
    bool there = !text.empty() && letters.find(text.front()) != std::string_view::npos;
    if (there) text.remove_prefix(1);
    return there;
  };
  drop("kKmMgGtT");
  bool binary = drop("iI");
  bool bytes = drop("bB");
  return digits > 0 && text.empty() && (bytes || !binary);
}

constexpr std::size_t name_characters_max = 1024;
constexpr std::size_t path_characters_max = 4096;
constexpr std::size_t word_bytes_max = 128 * 1024;  // what execve takes
constexpr std::size_t secret_characters_max = 32 * 1024;

constexpr TextForm image_form{{1, name_characters_max, is_image_reference,
                               "an image reference such as \"debian:12\" or \"host:5000/team/app:1\""},
                              "^[A-Za-z0-9._:@+][A-Za-z0-9._:@+/-]*$"};
constexpr TextForm word_form{{0, word_bytes_max, no_nul, "without NUL"}, "^[^\\u0000]*$", word_bytes_max};
constexpr TextForm env_name_form{{1, word_bytes_max, is_env_name, "the name of a variable: without \"=\" and NUL"},
                                 "^[^=\\u0000]+$"};
constexpr TextForm path_form{{1, path_characters_max, is_absolute_path, "an absolute path inside the container"},
                             "^/[^\\u0000]*$"};
constexpr TextForm name_form{{1, name_characters_max, is_printable_ascii, "printable ASCII"}, "^[\\x20-\\x7e]+$"};
constexpr TextForm cache_form{
    {1, cache_name_characters_max, is_cache_name, "the name of a cache: printable ASCII without \"::\""},
    "^(?!.*::)[\\x20-\\x7e]+$"};
constexpr TextForm namespace_form{{1, 255, is_namespace, "a namespace of the index such as \"project.images.build\""},
                                  "^[a-zA-Z0-9_!~*'()%-]+(\\.[a-zA-Z0-9_!~*'()%-]+)*$"};
constexpr TextForm task_form{{0, 22, is_task_id, "a taskId"},
                             "^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$"};
constexpr TextForm url_form{{1, path_characters_max, is_web_url, "an http or https URL"}, "^https?://[\\x21-\\x7e]+$"};
constexpr TextForm base64_form{{1, secret_characters_max, is_base64_text, "base64"}, "^[A-Za-z0-9+/]+={0,2}$"};
constexpr TextForm size_form{{1, 32, is_size_text, "a size such as \"256m\" or \"2g\", or a number of bytes"},
                             "^([0-9]+\\.?[0-9]*|\\.[0-9]+)[kKmMgGtT]?([iI]?[bB])?$"};
constexpr TextForm identifier_form{{1, 38, is_name_of_side_container, "1 to 38 of [a-zA-Z0-9-_]"},
                                   "^[a-zA-Z0-9_-]{1,38}$"};
constexpr std::string_view artifact_types[] = {"file", "directory", "volume"};
constexpr TextForm artifact_type_form{{}, {}, SIZE_MAX, artifact_types};
constexpr std::string_view docker_image[] = {"docker-image"};
constexpr TextForm docker_image_form{{}, {}, SIZE_MAX, docker_image};
constexpr std::string_view indexed_image[] = {"indexed-image"};
constexpr TextForm indexed_image_form{{}, {}, SIZE_MAX, indexed_image};
constexpr std::string_view task_image[] = {"task-image"};
constexpr TextForm task_image_form{{}, {}, SIZE_MAX, task_image};

constexpr ValueShape text(const TextForm& form) { return {.type = Type::text, .form = &form}; }
constexpr ValueShape integer(double min, double max) { return {.type = Type::integer, .min = min, .max = max}; }
constexpr ValueShape size(double min, double max) {
  return {.type = Type::size, .min = min, .max = max, .form = &size_form};
}
constexpr ValueShape list(const ValueShape& element, std::size_t count_max) {
  return {.type = Type::list, .element = &element, .count_max = count_max};
}
constexpr ValueShape map(const TextForm& names, const ValueShape* element, std::size_t count_max) {
  return {.type = Type::map, .form = &names, .element = element, .count_max = count_max};
}
constexpr ValueShape boolean{.type = Type::boolean};
constexpr ValueShape object{.type = Type::object};
constexpr ValueShape time{.type = Type::time};
constexpr ValueShape word = text(word_form);
constexpr ValueShape path = text(path_form);
constexpr ValueShape secret = text(base64_form);
constexpr ValueShape word_of_identifier = text(identifier_form);
constexpr ValueShape exit_code = integer(1, 255);
constexpr ValueShape size_of_memory = size(ResourceLimits::memory_bytes_min, ResourceLimits::memory_bytes_max);
constexpr ValueShape size_of_disk = size(1 << 20, ResourceLimits::memory_bytes_max);

constexpr PayloadKey feature(std::string_view name, std::string_view title, std::string_view description,
                             bool on = false, std::string_view scopes = {}) {
  return {"features", name, title, description, boolean, on ? "true" : "false", scopes, false, true};
}
constexpr PayloadKey device(std::string_view name, std::string_view description, std::string_view scope) {
  return {"capabilities.devices", name, name, description, boolean, "false", scope, false, true};
}

constexpr PayloadKey table[] = {
    {"",
     "image",
     "Image",
     "What the container is made from: a reference, or where an image is to be found; one that is on the node is not "
     "pulled.",
     {.type = Type::image, .form = &image_form},
     {},
     {},
     true},
    {"", "command", "Command", "Words of the command; without them the image's own.", list(word, command_words_max),
     "[]"},
    {"", "env", "Environment", "Variables, by name.", map(env_name_form, &word, env_max), "{}"},
    {"",
     "maxRunTime",
     "Time limit",
     "Seconds that the container may run; it is killed then, and the task fails.",
     integer(1, max_run_time_s_max),
     {},
     {},
     true},
    {"", "cache", "Caches", "Directories that outlive the task: where each is mounted, by name.",
     map(cache_form, &path, caches_max), "{}", "docker-worker:cache:<name>", false, true},
    {"", "artifacts", "Artifacts", "What is kept of the container's files, by name.",
     map(name_form, nullptr, artifacts_max), "{}"},
    {"", "log", "Log", "Name of the log's artifact.", text(name_form), "\"public/logs/live.log\""},
    {"", "features", "Features", "Switches.", object, "{}"},
    {"", "capabilities", "Capabilities", "What of the machine the container may use beyond the usual.", object, "{}"},
    {"", "onExitStatus", "Exit codes", "What exit codes mean beside success and failure.", object, "{}"},
    {"",
     "graphs",
     "Graphs",
     "Files in the container, each with tasks to add to the task's group when it has ended.",
     list(path, graphs_max),
     "[]",
     {},
     false,
     true},
    {"", "sideContainers", "Side containers",
     "Containers that run beside the task's, by the names that the agent's operator has given them; the scope is what "
     "that operator says, or this.",
     list(word_of_identifier, side_containers_max), "[]", "docker-worker:side-container:<name>", false, true},
    {"",
     "supersederUrl",
     "Superseder",
     "Who is asked which tasks this one makes needless.",
     text(url_form),
     {},
     {},
     false,
     true},
    {"",
     "encryptedEnv",
     "Encrypted environment",
     "Variables that only the worker can read: OpenPGP messages in base64.",
     list(secret, encrypted_env_max),
     "[]",
     {},
     false,
     true},
    {"", "resources", "Resources", "What the container may use up.", object, "{}"},

    {"image", "docker-image", "Image of a registry", "An image reference.", object},
    {"image",
     "indexed-image",
     "Image of an indexed task",
     "An artifact of the task at a path of the index; the scope is for a private one.",
     object,
     {},
     "queue:get-artifact:<path>",
     false,
     true},
    {"image",
     "task-image",
     "Image of a task",
     "An artifact of a task.",
     object,
     {},
     "queue:get-artifact:<path>",
     false,
     true},
    {"image.docker-image", "type", "Type", "Which kind of image.", text(docker_image_form), {}, {}, true},
    {"image.docker-image", "name", "Name", "The reference.", text(image_form), {}, {}, true},
    {"image.indexed-image", "type", "Type", "Which kind of image.", text(indexed_image_form), {}, {}, true},
    {"image.indexed-image",
     "namespace",
     "Namespace",
     "Path of the task in the index.",
     text(namespace_form),
     {},
     {},
     true},
    {"image.indexed-image", "path", "Path", "Name of the artifact.", text(name_form), {}, {}, true},
    {"image.task-image", "type", "Type", "Which kind of image.", text(task_image_form), {}, {}, true},
    {"image.task-image", "taskId", "Task", "The task that made the image.", text(task_form), {}, {}, true},
    {"image.task-image", "path", "Path", "Name of the artifact.", text(name_form), {}, {}, true},

    {"artifacts.*",
     "type",
     "Type",
     "What is at the path: a file, or a directory with all its files (volume: the same).",
     text(artifact_type_form),
     {},
     {},
     true},
    {"artifacts.*", "path", "Path", "Where it is in the container.", path, {}, {}, true},
    {"artifacts.*", "expires", "Expiry", "When it may be forgotten; not after the task. Without it: with the task.",
     time},
    {"artifacts.*", "optional", "Optional", "Whether the task may succeed without it.", boolean, "false"},

    feature("localLiveLog", "Live log", "The log can be read while the task runs.", true),
    feature("bulkLog", "Whole log", "The log is kept as a compressed file, too: public/logs/terminal_bulk.log.gz."),
    feature("artifacts", "Artifacts", "Uploads what payload.artifacts names once the container has stopped.", true),
    feature("taskclusterProxy", "Proxy",
            "Requests to http://taskcluster/ inside the container are signed with the task's scopes."),
    feature("interactive", "Interactive", "A shell in the running container, for whoever may read private artifacts."),
    feature("dind", "Docker in Docker",
            "A container engine of the task's own, at /var/run/docker.sock; only on agents that allow privileged "
            "containers.",
            false, "docker-worker:capability:privileged"),
    feature("dockerSave", "Save the image", "Keeps the container's files as an image: public/dockerImage.tar."),
    feature("allowPtrace", "Tracing", "Processes of the container may trace each other.", false,
            "docker-worker:feature:allowPtrace"),
    feature("chainOfTrust", "Chain of trust", "A signed record of what was run and what it made."),

    {"capabilities", "privileged", "Privileged",
     "The container may do whatever the machine's root may; only on agents that allow it.", boolean, "false",
     "docker-worker:capability:privileged", false, true},
    {"capabilities", "disableSeccomp", "No seccomp", "No filter of system calls.", boolean, "false",
     "docker-worker:capability:disableSeccomp", false, true},
    {"capabilities", "devices", "Devices", "Devices that the container gets.", object, "{}"},
    device("loopbackVideo", "A video device that plays what is written to it.",
           "docker-worker:capability:device:loopbackVideo"),
    device("loopbackAudio", "A sound card that plays what is written to it.",
           "docker-worker:capability:device:loopbackAudio"),
    device("hostSharedMemory", "The machine's /dev/shm.", "docker-worker:capability:device:hostSharedMemory"),
    device("kvm", "Virtual machines, by /dev/kvm.", "docker-worker:capability:device:kvm"),
    device("cpu", "A processor of its own.", "docker-worker:capability:device:cpu"),

    {"onExitStatus", "retry", "Try again",
     "A run that ends with one of these is an exception (intermittent-task) and tried again, as long as the task has "
     "retries.",
     list(exit_code, exit_codes_max), "[]"},
    {"onExitStatus",
     "purgeCaches",
     "Purge caches",
     "With one of these the caches of the run are thrown away.",
     list(exit_code, exit_codes_max),
     "[]",
     {},
     false,
     true},

    {"resources", "memory", "Memory", "Past it the container is killed.", size_of_memory, "\"2g\""},
    {"resources",
     "cpus",
     "Processors",
     "For example 1.5; without it a fair share of all.",
     {.type = Type::number, .min = ResourceLimits::cpus_min, .max = ResourceLimits::cpus_max}},
    {"resources", "pids", "Processes", "Processes and threads at once.", integer(1, ResourceLimits::pids_max), "4096"},
    {"resources", "disk", "Disk", "What the container may write of its own; without it no limit.", size_of_disk},
    {"resources", "shm", "Shared memory", "Size of /dev/shm; counts as memory.",
     size(ResourceLimits::shm_bytes_min, ResourceLimits::memory_bytes_max), "\"64m\""},
};

constexpr std::string_view of_mozilla =
    "it belongs to Mozilla's own network; an operator may give payload.sideContainers a container like it";
constexpr NotPlanned never[] = {
    {"balrogVPNProxy", of_mozilla},
    {"balrogStageVPNProxy", of_mozilla},
    {"relengAPIProxy", of_mozilla},
    {"testdroidProxy", of_mozilla},
    {"azureLiveLog", "use localLiveLog, which is on by default"},
    {"extendTaskGraph", "payload.graphs needs no switch"},
};

}  // namespace

std::string PayloadKey::path() const {
  std::string shown(place);
  if (auto star = shown.find('*'); star != std::string::npos) shown.replace(star, 1, "<name>");
  return shown.empty() ? std::string(key) : fmt::format("{}.{}", shown, key);
}

std::span<const PayloadKey> payload_keys() { return table; }

std::span<const PayloadKey> payload_keys_at(std::string_view place) {
  auto first = std::ranges::find(table, place, &PayloadKey::place);
  auto end = std::find_if(first, std::end(table), [place](const PayloadKey& key) { return key.place != place; });
  return {first, end};
}

const PayloadKey& payload_key(std::string_view wanted) {
  auto found = std::ranges::find_if(table, [&](const PayloadKey& key) { return key.path() == wanted; });
  GANTRY_ASSERT(found != std::end(table));
  return *found;
}

const NotPlanned* not_planned(std::string_view feature) {
  auto found = std::ranges::find(never, feature, &NotPlanned::name);
  return found == std::end(never) ? nullptr : found;
}

}  // namespace gantry::wire
